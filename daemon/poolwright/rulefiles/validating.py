"""A document against a shape: every mistake in one pass, and the best that can be made of the rest.

A wrong or missing part is told once, then its key is left out, or its stand-in put in its place,
until the rest is of the right shape. What has been replaced is in `Document.broken`, so that
nothing that follows from it is told as well. A key that is nearly a known one is read as that one.
"""

from copy import deepcopy
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypeVar

from poolwright.rulefiles.document import HOW_TO_BEGIN, Document, Path
from poolwright.rulefiles.shapes import Empty, PoolShape, Shape
from poolwright.rulefiles.wording import did_you_mean, explain

M = TypeVar("M", bound=Shape)


def validate(document: Document, model: type[M]) -> M | None:
    """Of the model's shape wherever the document is; None when nothing can be made of it."""
    if document.value is None and document.problems:
        return None
    _read_near_keys(document, model)
    value = deepcopy(document.value)
    while True:
        try:
            return model.model_validate(value)
        except ValidationError as caught:
            errors = caught.errors(include_url=False)
        for error in errors:
            _report(document, model, error)
        for error in errors:
            path: Path = tuple(error["loc"])
            if path in document.broken and error["type"] != "missing":
                return None
            if not _mend(model, value, path):
                return None
            document.broken.add(path)


def validate_part(document: Document, within: Path, model: type[BaseModel]) -> None:
    """Tell every mistake of a part whose model is somebody else's."""
    _read_near_keys(document, model, within)
    part = {key: Empty() if v is None else v for key, v in document.at(within).items()}
    try:
        model.model_validate(part)
    except ValidationError as caught:
        for error in caught.errors(include_url=False):
            _report(document, model, error, within)


def _report(
    document: Document, model: type[BaseModel], error: ErrorDetails, within: Path = ()
) -> None:
    """One verdict on the part of the document that is `within`."""
    path: Path = (*within, *error["loc"])
    kind = _kind_at(model, error["loc"])
    key = str(path[-1]) if path else "the file"
    match error["type"]:
        case "extra_forbidden":
            document.misunderstood.add(path[:-1])
            hint = did_you_mean(key, _keys(_kind_at(model, error["loc"][:-1])))
            document.add(path, f"unknown key `{key}`", hint, key=True)
        case "missing":
            if not document.is_broken(path):
                hint = f"add {key}: {_sketch(kind)}"
                document.add(path[:-1], f"`{key}` is missing", hint)
        case _:
            if isinstance(path[-1] if path else "", int):
                key = f"entry {int(path[-1]) + 1} of {path[-2]}"
            written = document.at(path)
            message, hint = explain(error, key, written, _sketch(kind))
            document.add(path, message, hint if path else HOW_TO_BEGIN, key=written is None)


def _read_near_keys(document: Document, model: type[BaseModel], within: Path = ()) -> None:
    """Report keys that are nearly known ones, and read them as those."""
    while True:
        try:
            model.model_validate(document.at(within))
        except ValidationError as caught:
            errors = caught.errors(include_url=False)
        else:
            return
        renamed = False
        for error in errors:
            path: Path = (*within, *error["loc"])
            if error["type"] != "extra_forbidden" or not isinstance(path[-1], str):
                continue
            meant, hint = _meant(path[-1], _keys(_kind_at(model, error["loc"][:-1])))
            if meant and not document.has((*path[:-1], meant)):
                document.add(path, f"unknown key `{path[-1]}`", hint, key=True)
                document.rename(path, meant)
                if ":" in path[-1]:
                    document.broken.add((*path[:-1], meant))
                renamed = True
        if not renamed:
            return


def _meant(key: str, known: list[str]) -> tuple[str, str]:
    name, colon, value = key.partition(":")
    if colon and name in known:
        return name, f"put a space after the colon: {name}: {value}"
    close = get_close_matches(key, known, 1)
    return (close[0] if close else ""), did_you_mean(key, known)


def _shape(kind: Any) -> type[BaseModel] | None:
    """The shape itself, or that of `Shape | None`."""
    return next(
        (k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, BaseModel))
        if not _is_container(kind)
        else iter(()),
        None,
    )


def _is_container(kind: Any) -> bool:
    return get_origin(kind) in (list, dict)


def _fields(shape: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in shape.model_fields.items()}


def _kind_at(model: type[BaseModel], path: Path) -> Any:
    kind: Any = model
    for step in path:
        if shape := _shape(kind):
            field = _fields(shape).get(str(step))
            kind = field.annotation if field else None
        else:
            kind = get_args(kind)[-1] if _is_container(kind) else None
    return kind


def _keys(kind: Any) -> list[str]:
    shape = _shape(kind)
    return list(_fields(shape)) if shape else []


def _sketch(kind: Any) -> str:
    """What to write for a part, as far as it is the same in every file."""
    if kind == PoolShape.model_fields["provider"].annotation:
        return "{kubernetes: {…}}"
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0])
    shape = _shape(kind)
    if shape is None:
        return "{…: …}" if get_origin(kind) is dict else "…"
    required = [key for key, field in _fields(shape).items() if field.is_required()]
    return f"{{{', '.join(f'{key}: …' for key in required or _fields(shape))}}}"


def _mend(model: type[Shape], value: Any, path: Path) -> bool:
    """Replace the innermost part around `path` that can be; False when there is none."""
    mend: tuple[Any, str | int, Any] | None = None
    holder = value
    for depth, step in enumerate(path):
        kind = _kind_at(model, path[:depth])
        if (shape := _shape(kind)) and issubclass(shape, Shape):
            mend = holder, step, shape.stand_ins.get(str(step))
        elif _shape(_kind_at(model, path[: depth + 1])):
            mend = holder, step, {}
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):
            break
    if mend is None:
        return False
    holder, step, stand_in = mend
    if stand_in is not None:
        holder[step] = deepcopy(stand_in)
    elif isinstance(holder, dict) and step in holder:
        del holder[step]
    else:
        return False
    return True
