"""Reload when contents change, however they were replaced: rename, symlink swap, in place."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from poolwright.errors import RuleFileError
from poolwright.model.rule import RuleSet
from poolwright.rulefiles.checks import Providers
from poolwright.rulefiles.loading import load, sources_of


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Either the whole new set or the error; never a part."""

    rules: RuleSet | None
    error: RuleFileError | None


def _contents(path: Path) -> object:
    try:
        return sources_of(path)
    except (RuleFileError, OSError) as error:
        return str(error)


async def watch(
    path: Path | str, *, providers: Providers | None = None
) -> AsyncIterator[LoadResult]:
    """Yield after each change of contents; the first is not reported. `providers`: as of `load`."""
    path = Path(path)
    # The folder, not the file: an atomic rename replaces the file's inode.
    folder = path if path.is_dir() else path.parent
    last = await asyncio.to_thread(_contents, path)
    async for _ in awatch(folder, watch_filter=None, debounce=200, recursive=False):
        contents = await asyncio.to_thread(_contents, path)
        if contents == last:
            continue
        last = contents
        try:
            result = LoadResult(await asyncio.to_thread(load, path, providers=providers), None)
        except RuleFileError as error:
            result = LoadResult(None, error)
        yield result
