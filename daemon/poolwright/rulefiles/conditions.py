"""CEL conditions, compiled when the file is read so that no typing error waits for an incident."""

import re
from collections.abc import Mapping
from typing import Final

from cel_expr_python import cel

from poolwright.model.rule import Condition
from poolwright.rulefiles.condition_errors import Mistake, explain

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+)|(?P<int>\d+)""",
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset(
    {"as", "bool", "break", "bytes", "const", "continue", "double", "dyn", "else", "false", "for"}
    | {"function", "if", "import", "in", "int", "let", "list", "loop", "map", "namespace", "null"}
    | {"null_type", "package", "return", "string", "true", "type", "uint", "var", "void", "while"}
)


class ConditionError(ValueError):
    """Every mistake of one condition."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


def is_usable_name(name: str) -> bool:
    """Whether a signal of this name can stand in a condition."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


def _doubles(source: str) -> tuple[str, list[int]]:
    """The source with numbers as doubles, and the offsets in it where `.0` was put."""
    added: list[int] = []
    out: list[str] = []
    last = 0
    for match in _TOKEN.finditer(source):
        if match.lastgroup == "int":
            out += [source[last : match.end()], ".0"]
            last = match.end()
            added.append(last + 2 * len(added))
    return "".join(out) + source[last:], added


def names_in(source: str) -> frozenset[str]:
    return frozenset(m["name"] for m in _TOKEN.finditer(source) if m.lastgroup == "name")


def numbers_in(source: str) -> frozenset[float]:
    return frozenset(
        float(m[0]) for m in _TOKEN.finditer(source) if m.lastgroup in ("int", "number")
    )


def compile_condition(source: str, allowed: frozenset[str]) -> Condition:
    """Over signals of these names; raises ConditionError with offsets into `source`."""
    rewritten, added = _doubles(source)
    environment = cel.NewEnv(variables=dict.fromkeys(sorted(allowed), cel.Type.DOUBLE))
    try:
        expression = environment.compile(rewritten)
    except RuntimeError as error:

        def offset(line: int, column: int) -> int:
            starts = [0, *(m.end() for m in re.finditer("\n", rewritten))]
            at = starts[line - 1] + column - 1
            return max(0, at - 2 * sum(1 for place in added if place < at))

        raise ConditionError(explain(str(error), source, offset, allowed)) from error
    if expression.return_type() != cel.Type.BOOL:
        message = "a condition must be true or false, this is a number"
        raise ConditionError((Mistake(0, message, "compare it, such as with > 8"),))

    def evaluate(values: Mapping[str, float]) -> bool | None:
        result = expression.eval(data=dict(values))
        return bool(result.value()) if result.type() == cel.Type.BOOL else None

    return Condition(source, names_in(source) & allowed, evaluate)
