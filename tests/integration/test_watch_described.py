"""A described file that changes is a reload like that of a rule file."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from poolwright.actuation.registry import targets
from poolwright.rulefiles import LoadResult, watch

RULES = """\
apiVersion: poolwright/v1
service: chat
pools:
  - {name: main, provider: {http: {ref: racks}}, replicas: {min: 1, max: 3}}
"""
API = """\
apiVersion: poolwright/v1
kind: Api
base_url: https://api.test
read: {url: /n, desired: /n, ready: /up}
set: {url: /n, body: {n: "{count}"}}
"""
BROKEN = API.replace("/up", "up")
ARRIVES_S = 20.0

Results = asyncio.Queue[LoadResult]


@contextlib.asynccontextmanager
async def watching(path: Path, apis: Path | None = None) -> AsyncIterator[Results]:
    results: Results = asyncio.Queue()

    async def collect() -> None:
        async for result in watch(path, providers=targets(), apis=apis):
            results.put_nowait(result)

    task = asyncio.create_task(collect())
    # Contents and the operating system's watch are taken in its first moments.
    await asyncio.sleep(0.7)
    try:
        yield results
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def error_of(results: Results) -> str:
    """Of the next result; '' where it is good."""
    async with asyncio.timeout(ARRIVES_S):
        result = await results.get()
    return "" if result.error is None else str(result.error)


async def becomes(results: Results, wanted: str) -> None:
    """Waits for a result with these words in its error, past those of what was half done."""
    async with asyncio.timeout(ARRIVES_S):
        while wanted not in (found := await error_of(results)) or bool(wanted) != bool(found):
            pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    (folder / "apis").mkdir(parents=True)
    (folder / "chat.yaml").write_text(RULES)
    (folder / "apis" / "racks.yaml").write_text(API)
    return folder


def replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


@pytest.mark.parametrize("watched", ["folder", "file"])
async def test_an_edit_is_told_and_so_is_its_mending(folder: Path, watched: str) -> None:
    file = folder / "apis" / "racks.yaml"
    async with watching(folder if watched == "folder" else folder / "chat.yaml") as results:
        replace(file, BROKEN)
        assert f"{file}:4:37: `up` is no JSON pointer" in await error_of(results)
        replace(file, API.replace("/up", "/ready"))
        assert await error_of(results) == ""


async def test_a_folder_that_comes_goes_and_comes_again_is_watched(folder: Path) -> None:
    shutil.move(folder / "apis", folder / "apis.later")
    async with watching(folder) as results:
        (folder / "apis.later").rename(folder / "apis")
        await becomes(results, "")
        await asyncio.sleep(0.7)  # it is watched from some moment on, and nothing tells which
        replace(folder / "apis" / "racks.yaml", BROKEN)
        await becomes(results, "is no JSON pointer")
        shutil.rmtree(folder / "apis")
        await becomes(results, "no file describes an API `racks`")


async def test_a_folder_elsewhere_is_watched(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(folder / "apis", elsewhere)
    async with watching(folder, elsewhere) as results:
        replace(elsewhere / "racks.yaml", BROKEN)
        assert str(elsewhere / "racks.yaml") in await error_of(results)
