"""Rule files that change on the real file system."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from poolwright.rulefiles import LoadResult, watch

RULES = """\
apiVersion: poolwright/v1
service: {service}
pools:
  - {{name: {service}-main, provider: {{simulated: {{}}}}, replicas: {{min: 1, max: {most}}}}}
"""
ARRIVES_S = 20.0
SILENT_S = 1.5


def rules(most: int, service: str = "chat") -> str:
    return RULES.format(service=service, most=most)


class Watched:
    def __init__(self, path: Path) -> None:
        self.results: asyncio.Queue[LoadResult] = asyncio.Queue()
        self._task = asyncio.create_task(self._collect(path))

    async def _collect(self, path: Path) -> None:
        async for result in watch(path):
            self.results.put_nowait(result)

    async def next(self) -> LoadResult:
        async with asyncio.timeout(ARRIVES_S):
            return await self.results.get()

    async def most(self) -> int:
        """Of the next good result that there is."""
        result = await self.next()
        assert result.error is None
        assert result.rules is not None
        return result.rules.services[0].pools[0].max_replicas

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@contextlib.asynccontextmanager
async def watching(path: Path) -> AsyncIterator[Watched]:
    watched = Watched(path)
    # Contents and the operating system's watch are taken in its first moments.
    await asyncio.sleep(0.7)
    try:
        yield watched
    finally:
        await watched.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "chat.yaml").write_text(rules(3))
    return folder


async def test_edit_in_place(folder: Path) -> None:
    async with watching(folder) as watched:
        (folder / "chat.yaml").write_text(rules(5))
        assert await watched.most() == 5


async def test_atomic_rename_of_a_watched_file_twice(folder: Path) -> None:
    file = folder / "chat.yaml"
    async with watching(file) as watched:
        for most in (6, 7):
            new = folder / "chat.yaml.new"
            new.write_text(rules(most))
            new.replace(file)
            assert await watched.most() == most


async def test_symlink_swap_of_a_config_map(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    for name, most in (("..2026_01", 3), ("..2026_02", 9)):
        (folder / name).mkdir(parents=True)
        (folder / name / "chat.yaml").write_text(rules(most))
    (folder / "..data").symlink_to("..2026_01")
    (folder / "chat.yaml").symlink_to("..data/chat.yaml")
    async with watching(folder) as watched:
        (folder / "..data_tmp").symlink_to("..2026_02")
        (folder / "..data_tmp").replace(folder / "..data")
        assert await watched.most() == 9


async def test_editor_files_and_touch_are_ignored(folder: Path) -> None:
    async with watching(folder) as watched:
        for name in (".chat.yaml.swp", ".#chat.yaml", "#chat.yaml#", "chat.yaml~", "~chat.yaml"):
            (folder / name).write_text("not: [rules")
        (folder / "chat.yaml").touch()
        await asyncio.sleep(SILENT_S)
        assert watched.results.empty()
        (folder / "chat.yaml").write_text(rules(8))
        assert await watched.most() == 8


async def test_broken_edit_is_an_error_and_mending_it_is_a_result(folder: Path) -> None:
    file = folder / "chat.yaml"
    async with watching(folder) as watched:
        new = folder / "new"
        new.write_text(rules(3).replace("service:", "servise:"))
        new.replace(file)
        result = await watched.next()
        assert result.rules is None
        assert result.error is not None
        assert f"{file}:2:1: unknown key `servise` (did you mean `service`?)" in str(result.error)
        new.write_text(rules(4))
        new.replace(file)
        assert await watched.most() == 4


@pytest.mark.parametrize("name", ["code.yaml", "code.yml"])
async def test_a_second_file_joins_and_leaves(folder: Path, name: str) -> None:
    async with watching(folder) as watched:
        new = folder / "new"
        new.write_text(rules(2, "code"))
        new.replace(folder / name)
        joined = await watched.next()
        assert joined.rules is not None
        assert [service.service for service in joined.rules.services] == ["chat", "code"]
        (folder / name).unlink()
        left = await watched.next()
        assert left.rules is not None
        assert [service.service for service in left.rules.services] == ["chat"]
