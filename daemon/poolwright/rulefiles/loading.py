"""Rule files to the core's rule set: read, check all, then build; or refuse with every problem."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from poolwright.errors import Problem, RuleFileError
from poolwright.model.rule import FleetRule, RuleSet, ServiceRule
from poolwright.rulefiles.building import build
from poolwright.rulefiles.checks import Names, Providers, check, check_pools_of_all
from poolwright.rulefiles.described import check_described, folder_of
from poolwright.rulefiles.document import Document, read
from poolwright.rulefiles.doubts import doubts
from poolwright.rulefiles.fights import check_fights
from poolwright.rulefiles.fleet import Services, is_fleet, read_fleet, warnings
from poolwright.rulefiles.shapes import RuleFile
from poolwright.rulefiles.targets import check_targets_of_all
from poolwright.rulefiles.validating import validate

SUFFIXES: Final = (".yaml", ".yml")


def _is_rule_file(path: Path) -> bool:
    """Whether a folder's entry means to be read; a link that leads nowhere does and is told."""
    meant = path.suffix.lower() in SUFFIXES and not path.name.startswith((".", "#", "~"))
    return meant and (path.is_file() or path.is_symlink())


def sources_of(path: Path) -> dict[str, str]:
    """File name to text, of one file or of the YAML files in a folder."""
    files = sorted(p for p in path.iterdir() if _is_rule_file(p)) if path.is_dir() else [path]
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            sources[str(file)] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            before = bytes(error.object)[: error.start]
            column = error.start - (before.rfind(b"\n") + 1) + 1
            place = (before.count(b"\n") + 1, column)
            problems.append(Problem(str(file), *place, "not UTF-8 text", "save it as UTF-8"))
        except OSError as error:
            problems.append(_unreadable(file, error))
    if not sources and not problems:
        hint = "add a file whose name ends in .yaml or .yml"
        problems.append(Problem(str(path), 1, 1, "no rule file here", hint))
    if problems:
        raise RuleFileError(tuple(problems))
    return sources


def described_sources_of(path: Path, apis: Path | None) -> dict[str, str]:
    """As `sources_of`, of the files that pools of the rules at `path` may refer to.

    Without `apis` they lie beside the rules, or nowhere.
    """
    folder = folder_of(path) if apis is None else apis
    if folder.is_dir():
        return sources_of(folder) if any(map(_is_rule_file, folder.iterdir())) else {}
    if apis is not None:
        hint = "make the folder, or correct POOLWRIGHT_APIS"
        raise RuleFileError((Problem(str(apis), 1, 1, "no folder of described APIs", hint),))
    return {}


def _unreadable(path: Path, error: OSError) -> Problem:
    why = (error.strerror or str(error)).lower()
    return Problem(str(path), 1, 1, f"cannot be read: {why}", "check the path and its permissions")


def load(
    path: Path | str, *, providers: Providers | None = None, apis: Path | None = None
) -> RuleSet:
    """Raise RuleFileError with all problems of all files.

    With `providers`, a pool of any other provider, a target that its provider does not know and
    one that two pools have are problems, too; without, that is left to whoever makes the
    providers, so that rules can be read where their provider is not installed. Likewise what is
    wrong in described files, which lie in `apis`.
    """
    path = Path(path)
    try:
        described = {} if providers is None else described_sources_of(path, apis)
        return load_sources(sources_of(path), providers=providers, described=described)
    except OSError as error:
        raise RuleFileError((_unreadable(path, error),)) from error


def load_sources(
    sources: Mapping[str, str],
    *,
    providers: Providers | None = None,
    described: Mapping[str, str] | None = None,
) -> RuleSet:
    """As `load`, from texts by file name; `described`: those that pools refer to.

    A described file says how counts are set and nothing of which: it is no part of the revision.
    """
    documents = [read(file, text) for file, text in sorted(sources.items())]
    fleets = [document for document in documents if is_fleet(document)]
    services = _read_services([d for d in documents if d not in fleets], providers)
    fleet = _read_fleet(fleets, services)
    problems = check_described(services.rules.values(), providers or {}, described or {})
    problems += [problem for document in documents for problem in document.problems]
    if problems:
        raise RuleFileError(tuple(sorted(problems, key=_place)))
    return RuleSet(
        _revision(sources),
        tuple(rule for _, rule in services.rules.values()),
        dict(sources),
        fleet,
        tuple(sorted(_warnings(fleets, fleet, services), key=_place)),
    )


def _warnings(
    fleets: Sequence[Document], fleet: FleetRule | None, services: Services
) -> Iterator[Problem]:
    for document, service in services.rules.values():
        yield from doubts(document, service)
    if fleet is not None:
        yield from warnings(fleets[0], fleet, services)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column


def _read_services(documents: Sequence[Document], providers: Providers | None) -> Services:
    found: dict[str, tuple[Document, ServiceRule]] = {}
    complete = True
    for document in documents:
        service = _read_service(document, providers)
        if service is None or document.is_broken(("service",)) or document.has_broken(("pools",)):
            complete = False
        if service is not None and not document.is_broken(("service",)):
            if other := found.get(service.service):
                message = f"duplicate service `{service.service}`"
                hint = f"also at {other[0].where(('service',))}; one file each"
                document.add(("service",), message, hint)
            found.setdefault(service.service, (document, service))
    check_pools_of_all(found.values())
    if providers is not None:
        check_targets_of_all(found.values(), providers)
    return Services(found, complete)


def _read_service(document: Document, providers: Providers | None) -> ServiceRule | None:
    """The service as far as it can be made out; good only if the document has no problems."""
    shape = validate(document, RuleFile)
    if shape is None:
        return None
    names = Names.of(document)
    check(document, shape, names, providers)
    service = build(document, shape, names)
    check_fights(document, shape, service)
    return service


def _read_fleet(documents: Sequence[Document], services: Services) -> FleetRule | None:
    """The folder's fleet, if it has one; each further one is a problem."""
    fleets = [read_fleet(document, services) for document in documents]
    for document in documents[1:]:
        hint = f"also in {documents[0].file}; one for all services"
        document.add(("kind",), "a second fleet", hint)
    return fleets[0] if fleets else None


def _revision(sources: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for file, text in sorted(sources.items()):
        for part in (Path(file).name, text):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:12]
