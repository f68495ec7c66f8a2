"""What a wrong shape is called: pydantic's verdicts in words that say what to write instead."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic_core import ErrorDetails

Context = Mapping[str, Any]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name, or all of them."""
    names = sorted(known)
    if close := get_close_matches(name, names, 1):
        return f"did you mean `{close[0]}`?"
    return f"known: {', '.join(names)}" if names else "none is defined"


def shown(value: Any) -> str:
    """A wrong value, short enough for a line."""
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:39]}…`"


def explain(error: ErrorDetails, key: str, value: Any, sketch: str) -> tuple[str, str]:
    """Message and hint for `key` with this value; `sketch` is what to write in its place."""
    context = error.get("ctx", {})
    if value is None:
        return f"`{key}` is empty", "write its value, or delete the line"
    if error["type"] in _MAPPING:
        return f"`{key}` must have keys, not be {shown(value)}", f"write {key}: {sketch}"
    if error["type"] == "value_error":
        cause = context.get("error")
        return str(cause), getattr(cause, "hint", "")
    if verdict := _VERDICTS.get(error["type"]):
        return verdict(value, key, context)
    return f"`{key}`: {error['msg']}", "see docs/rules.md for what it may be"


def _number_hint(value: Any, example: str) -> str:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return f"write a number, such as {example}"
        return "remove the quotes"
    return f"write a number, such as {example}"


def _text_hint(value: Any, key: str) -> str:
    if isinstance(value, (dict, list)):
        return f"write {key}: and one text; put text that begins with {{ or [ in quotes"
    return f"put it in quotes: '{shown(value).strip('`')}'"


def _choice_hint(value: Any, choices: list[str]) -> str:
    if isinstance(value, str) and get_close_matches(value, choices, 1):
        return did_you_mean(value, choices)
    return (
        f"write {', '.join(choices[:-1])} or {choices[-1]}"
        if choices[1:]
        else f"write {choices[0]}"
    )


def _no_integer(value: Any, _key: str, _context: Context) -> tuple[str, str]:
    return f"{shown(value)} is not a whole number", _number_hint(value, "4")


def _no_number(value: Any, _key: str, _context: Context) -> tuple[str, str]:
    return f"{shown(value)} is not a number", _number_hint(value, "0.5")


def _below(value: Any, key: str, context: Context) -> tuple[str, str]:
    return f"{shown(value)} is too small for `{key}`", f"write {context['ge']} or more"


def _not_above(_value: Any, key: str, context: Context) -> tuple[str, str]:
    above = f"{context['gt']:g}"
    return f"`{key}` must be above {above}", f"write more than {above}"


def _too_large(value: Any, key: str, context: Context) -> tuple[str, str]:
    most = context.get("le", context.get("lt"))
    bound = f"{most:.0%}" if isinstance(value, str) and "%" in value else f"{most:g}"
    hint = f"write {bound} or less" if "le" in context else f"write less than {bound}"
    return f"{shown(value)} is too much for `{key}`", hint


def _no_text(value: Any, key: str, _context: Context) -> tuple[str, str]:
    return f"{shown(value)} is not text", _text_hint(value, key)


def _no_name(value: Any, _key: str, _context: Context) -> tuple[str, str]:
    hint = "use letters, digits, `.`, `_` and `-`; begin with a letter or digit"
    return f"{shown(value)} cannot be a name", hint


def _no_characters(_value: Any, key: str, _context: Context) -> tuple[str, str]:
    return f"`{key}` is empty", "write its value, or delete the key"


def _long_text(_value: Any, key: str, context: Context) -> tuple[str, str]:
    return f"`{key}` is too long", f"use at most {context['max_length']} characters"


def _no_choice(value: Any, key: str, context: Context) -> tuple[str, str]:
    choices = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
    return f"`{key}` cannot be {shown(value)}", _choice_hint(value, choices)


def _no_list(value: Any, key: str, _context: Context) -> tuple[str, str]:
    return f"`{key}` must be a list, not {shown(value)}", "begin each entry with `- `"


def _too_few(_value: Any, key: str, _context: Context) -> tuple[str, str]:
    return f"`{key}` has no entry", "add one"


def _too_many(value: Any, key: str, context: Context) -> tuple[str, str]:
    return f"`{key}` has {len(value)} entries", f"keep {context['max_length']}"


_MAPPING: Final = frozenset({"dict_type", "model_type", "model_attributes_type"})
_VERDICTS: Final[Mapping[str, Callable[[Any, str, Context], tuple[str, str]]]] = {
    "int_type": _no_integer,
    "int_from_float": _no_integer,
    "int_parsing": _no_integer,
    "float_type": _no_number,
    "float_parsing": _no_number,
    "finite_number": _no_number,
    "greater_than_equal": _below,
    "greater_than": _not_above,
    "less_than": _too_large,
    "less_than_equal": _too_large,
    "string_type": _no_text,
    "string_pattern_mismatch": _no_name,
    "string_too_short": _no_characters,
    "string_too_long": _long_text,
    "enum": _no_choice,
    "literal_error": _no_choice,
    "list_type": _no_list,
    "too_short": _too_few,
    "too_long": _too_many,
}
"""Message and hint by pydantic's type of error, from the value, its key and the error's context."""
