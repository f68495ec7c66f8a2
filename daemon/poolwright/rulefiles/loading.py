"""Rule files to the core's rule set: read, check all, then build; or refuse with every problem."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from typing_extensions import TypeVar

from poolwright.errors import Problem, RuleFileError
from poolwright.model.rule import RuleSet, ServiceRule
from poolwright.rulefiles.building import build
from poolwright.rulefiles.checks import check, did_you_mean
from poolwright.rulefiles.document import Document, read
from poolwright.rulefiles.shapes import RuleFile

M = TypeVar("M", bound=BaseModel)


def schema() -> dict[str, Any]:
    """JSON Schema of a rule file, for editors."""
    return RuleFile.model_json_schema(by_alias=True)


def _is_rule_file(path: Path) -> bool:
    name = path.name
    return path.suffix == ".yaml" and not name.startswith((".", "#", "~")) and path.is_file()


def sources_of(path: Path) -> dict[str, str]:
    """File name to text, of one file or of the *.yaml in a folder."""
    files = sorted(p for p in path.iterdir() if _is_rule_file(p)) if path.is_dir() else [path]
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            sources[str(file)] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot be read: {error}"
            problems.append(Problem(str(file), 1, 1, message, "check the path, mode and encoding"))
    if not sources and not problems:
        problems.append(Problem(str(path), 1, 1, "no rule file here", "add a *.yaml file"))
    if problems:
        raise RuleFileError(tuple(problems))
    return sources


def load(path: Path | str) -> RuleSet:
    """Raise RuleFileError with all problems of all files."""
    path = Path(path)
    try:
        return load_sources(sources_of(path))
    except OSError as error:
        problem = Problem(str(path), 1, 1, f"cannot be read: {error}", "check the path and mode")
        raise RuleFileError((problem,)) from error


def load_sources(sources: Mapping[str, str]) -> RuleSet:
    """As `load`, from texts by file name."""
    problems: list[Problem] = []
    services: list[ServiceRule] = []
    for file, text in sorted(sources.items()):
        document = read(file, text)
        shape = validate(document, RuleFile)
        if shape is not None:
            check(document, shape)
            service = build(document, shape)
            for other in services:
                if other.service == service.service:
                    message = f"duplicate service `{service.service}`"
                    document.add(("service",), message, f"also in {other.file}; one file each")
            services.append(service)
        problems += document.problems
    if problems:
        raise RuleFileError(tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column))))
    digest = hashlib.sha256()
    for file, text in sorted(sources.items()):
        for part in (Path(file).name, text):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return RuleSet(digest.hexdigest()[:12], tuple(services), dict(sources))


def _keys_at(model: type[BaseModel], steps: tuple[str | int, ...]) -> list[str]:
    kind: Any = model
    for step in steps:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {f.alias or n: f.annotation for n, f in kind.model_fields.items()}
            kind = fields.get(str(step))
        else:
            arguments = get_args(kind)
            kind = arguments[-1] if arguments else None
        kinds = [k for k in get_args(kind) if isinstance(k, type) and issubclass(k, BaseModel)]
        if kinds and type(None) in get_args(kind):
            kind = kinds[0]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [f.alias or n for n, f in kind.model_fields.items()]
    return []


def validate(document: Document, model: type[M]) -> M | None:
    """The model, or None with the problems added to the document."""
    if document.problems and document.value is None:
        return None
    try:
        return model.model_validate(document.value)
    except ValidationError as errors:
        for error in errors.errors(include_url=False):
            path = tuple(error["loc"])
            key = str(path[-1]) if path else ""
            if error["type"] == "extra_forbidden":
                hint = did_you_mean(key, _keys_at(model, path[:-1]))
                document.add(path, f"unknown key `{key}`", hint, key=True)
            elif error["type"] == "missing":
                document.add(path[:-1], f"`{key}` is missing", f"add {key}:")
            else:
                document.add(path, error["msg"].removeprefix("Value error, "))
    return None
