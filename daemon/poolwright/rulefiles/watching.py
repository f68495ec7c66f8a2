"""Reload when contents change, however they were replaced: rename, symlink swap, in place."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from poolwright.errors import RuleFileError
from poolwright.model.rule import RuleSet
from poolwright.rulefiles.checks import Providers
from poolwright.rulefiles.described import folder_of
from poolwright.rulefiles.loading import described_sources_of, load, sources_of


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Either the whole new set or the error; never a part."""

    rules: RuleSet | None
    error: RuleFileError | None


def _contents(path: Path, apis: Path | None) -> object:
    try:
        return sources_of(path), described_sources_of(path, apis)
    except (RuleFileError, OSError) as error:
        return str(error)


async def watch(
    path: Path | str, *, providers: Providers | None = None, apis: Path | None = None
) -> AsyncIterator[LoadResult]:
    """Yield after each change of contents; the first is not reported. Otherwise as `load`."""
    path = Path(path)
    described = folder_of(path) if apis is None else apis
    last = await asyncio.to_thread(_contents, path, apis)
    # The folders, not the files: an atomic rename replaces a file's inode.
    async for _ in _changes(path if path.is_dir() else path.parent, described):
        contents = await asyncio.to_thread(_contents, path, apis)
        if contents == last:
            continue
        last = contents
        try:
            rules = await asyncio.to_thread(load, path, providers=providers, apis=apis)
            result = LoadResult(rules, None)
        except RuleFileError as error:
            result = LoadResult(None, error)
        yield result


async def _changes(folder: Path, other: Path) -> AsyncIterator[None]:
    """Yield after something may have changed; `other` may come, go or be replaced."""
    while True:
        watched = _inode(other)
        folders = (folder,) if watched is None else (folder, other)
        async for _ in awatch(*folders, watch_filter=None, debounce=200, recursive=False):
            yield
            if _inode(other) != watched and _inode(folder) is not None:
                break


def _inode(folder: Path) -> int | None:
    """Which folder it is, or None where there is none."""
    return folder.stat().st_ino if folder.is_dir() else None
