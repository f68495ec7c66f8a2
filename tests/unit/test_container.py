"""The image is made of what the locks pin, and of nothing else."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "container" / "Dockerfile").read_text()


def pinned(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))


def test_every_installation_is_of_the_lock() -> None:
    commands = DOCKERFILE.replace("\\\n", " ")
    installs = re.findall(r"pip\b[^&\n]* (?:install|wheel) [^&\n]*", commands)
    assert len(installs) == 4
    for command in installs:
        assert "--no-deps" in command
        assert ("--require-hashes" in command) != ("--no-index" in command)
        assert " wheel " not in command or "--no-build-isolation" in command


def test_the_build_tools_are_pinned() -> None:
    (names,) = re.findall(r"/\^\(([a-z|-]+)\)==/", DOCKERFILE)
    assert set(names.split("|")) <= pinned("requirements-dev.lock")
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {re.split(r"[<>=~]", name)[0] for name in required} <= set(names.split("|"))


def test_what_is_copied_reaches_the_builder() -> None:
    ignore = (ROOT / "deploy" / "container" / "Dockerfile.dockerignore").read_text()
    kept = {line[1:] for line in ignore.splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \./?\S*$", DOCKERFILE, re.MULTILINE)
    assert {name for names in copied for name in names.split()} <= kept
