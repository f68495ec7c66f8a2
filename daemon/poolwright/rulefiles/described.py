"""Files that pools refer to by name: checked like rule files, and the pools against them.

Whose files they are, their shape and what a pool must say of one is known to the provider alone,
so its model of a target says it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ValidationError

from poolwright.errors import Problem
from poolwright.model.rule import PoolRule, ServiceRule
from poolwright.rulefiles.checks import Providers
from poolwright.rulefiles.document import Document, Path, read
from poolwright.rulefiles.validating import validate_part
from poolwright.rulefiles.wording import did_you_mean

FOLDER = "apis"
HOW_TO_BEGIN = "begin with apiVersion: poolwright/v1 and kind: Api; see docs/providers/http.md"

Mistake = tuple[Path, str, str]
"""Where, what is wrong, and how to mend it."""


@runtime_checkable
class Refers(Protocol):
    """A model of targets that have a `ref`: the name of a file in the folder, without its end."""

    describes: ClassVar[type[BaseModel]]
    """The shape of such a file."""

    @classmethod
    def model_validate(cls, obj: Any) -> BaseModel:
        """The target with any file's keys; ValidationError says what it lacks."""

    @staticmethod
    def mistakes_of(described: Any) -> Sequence[Mistake]:
        """What its shape cannot say."""

    @classmethod
    def for_pools_of(cls, described: Any) -> type[BaseModel]:
        """The model of a target that refers to it."""


def folder_of(path: FilePath) -> FilePath:
    """Where described files lie if nobody says otherwise, for rules in a folder or one file."""
    return (path if path.is_dir() else path.parent) / FOLDER


def check_described(
    services: Iterable[tuple[Document, ServiceRule]],
    providers: Providers,
    sources: Mapping[str, str],
) -> list[Problem]:
    """The problems of the files; what pools say wrongly of them is added to their documents.

    `sources` are the files' texts by their names.
    """
    problems: list[Problem] = []
    pools = [(d, i, pool) for d, service in services for i, pool in enumerate(service.pools)]
    for name, model in providers.items():
        if not isinstance(model, Refers):
            continue
        found: dict[str, BaseModel | None] = {}
        for file, text in sorted(sources.items()):
            document = read(file, text, HOW_TO_BEGIN)
            ref = FilePath(file).stem
            if ref in found:
                document.add((), f"another file describes `{ref}`, too", "keep one of them")
            found[ref] = _described(document, model)
            problems += document.problems
        for document, i, pool in pools:
            path: Path = ("pools", i, "provider", name)
            if pool.provider == name and not document.has_broken(path):
                _check_pool(document, path, pool, model, found)
    return problems


def _described(document: Document, model: Refers) -> BaseModel | None:
    """What the file describes, or None when it has a problem."""
    if document.problems:
        return None
    if not isinstance(document.value, dict):
        document.add((), "the file must have keys", HOW_TO_BEGIN)
        return None
    validate_part(document, (), model.describes)
    if document.problems:
        return None
    described = model.describes.model_validate(document.value)
    for path, message, hint in model.mistakes_of(described):
        document.add(path, message, hint)
    return None if document.problems else described


def _check_pool(
    document: Document,
    path: Path,
    pool: PoolRule,
    model: Refers,
    found: Mapping[str, BaseModel | None],
) -> None:
    try:
        model.model_validate(pool.target)
    except ValidationError:
        return  # it has been told
    ref = str(pool.target["ref"])
    if ref not in found:
        hint = did_you_mean(ref, found) if found else f"add {FOLDER}/{ref}.yaml"
        document.add((*path, "ref"), f"no file describes an API `{ref}`", hint)
    elif (described := found[ref]) is not None:
        before = len(document.problems)
        validate_part(document, path, model.for_pools_of(described))
        if len(document.problems) > before:
            document.broken.add(path)
