"""What the exec provider makes of commands: of what they say, and of how they end.

Each command is a real process; none of it, nor of what it starts, is left when a call is over.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.harness import POOL, rule

from poolwright.actuation.commands import KEPT, LARGEST, run
from poolwright.actuation.provider import (
    CallError,
    Conflict,
    Gone,
    Invalid,
    Level,
    NoCapacity,
    Throttled,
    Unauthorised,
    Unreachable,
)
from poolwright.actuation.providers.exec import ExecProvider
from poolwright.errors import SettingsError
from poolwright.settings import Settings

Make = Callable[..., ExecProvider]
SEEN_S = 10.0


@pytest.fixture
def command(tmp_path: Path) -> Make:
    """A provider whose command is this Python; `folder` is the test's own, `order` its input."""

    def make(body: str, **target: object) -> ExecProvider:
        script = tmp_path / "command.py"
        script.write_text(
            "import json, os, pathlib, signal, subprocess, sys, time\n"
            f"folder = pathlib.Path({str(tmp_path)!r})\n"
            f"{body}\n"
        )
        return ExecProvider(
            rule("exec", {"command": [sys.executable, "-I", str(script)], **target}), Settings()
        )

    return make


def saying(answer: object) -> str:
    return f"print({json.dumps(answer)!r})"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SEEN_S):
        while not true():  # noqa: ASYNC110  another process tells nothing
            await asyncio.sleep(0.01)


def state_and_parent(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "gone", 0
    return fields[0], int(fields[1])


def is_gone(pid: int) -> bool:
    """Neither running nor left for this process to reap; others' children are others' to reap."""
    state, parent = state_and_parent(pid)
    return state == "gone" or (state == "Z" and parent != os.getpid())


def children() -> set[int]:
    """Processes that this one has started, zombies too."""
    there = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return {pid for pid in there if state_and_parent(pid)[1] == os.getpid()}


# --- what goes in --------------------------------------------------------------------------


async def test_each_operation_has_its_object(command: Make, tmp_path: Path):
    body = "(folder / 'asked').open('a').write(sys.stdin.read() + '\\n'); print('{}')"
    provider = command(body)
    with pytest.raises(Unreachable):
        await provider.read()
    await provider.set_replicas(3, key="k", drain=("a", "b"))
    await provider.inspect()
    asked = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [
        {"version": 1, "operation": "read", "pool": POOL},
        {"version": 1, "operation": "set_replicas", "pool": POOL, "count": 3, "key": "k",
         "drain": ["a", "b"]},
        {"version": 1, "operation": "inspect", "pool": POOL},
    ]  # fmt: skip


async def test_arguments_are_no_text_for_a_shell(tmp_path: Path):
    program = [sys.executable, "-Ic", "import sys; sys.exit(repr(sys.argv[1:]))"]
    target = {"command": [*program, "$(touch /tmp/x); *", "; rm"]}
    with pytest.raises(Unreachable, match=r"\['\$\(touch /tmp/x\); \*', '; rm'\]"):
        await ExecProvider(rule("exec", target), Settings()).read()


async def test_only_named_variables_are_passed(command: Make, monkeypatch):
    monkeypatch.setenv("POOLWRIGHT_KAFKA__SASL_PASSWORD", "kafka-pa55word")
    monkeypatch.setenv("RACK_SITE", "paris")
    provider = command("sys.exit(' '.join(sorted(os.environ)))", env=["RACK_SITE", "RACK_NOT_SET"])
    with pytest.raises(Unreachable) as caught:
        await provider.read()
    names = set(str(caught.value).rpartition(": ")[2].split())
    # LC_CTYPE is Python's own, where LANG is not set.
    assert names - {"LC_CTYPE"} <= {"PATH", "HOME", "LANG", "RACK_SITE"}
    assert {"PATH", "RACK_SITE"} <= names


# --- what comes out ------------------------------------------------------------------------


async def test_counts_and_defaults(command: Make):
    report = await command(saying({"desired": 5, "ready": 2})).read()
    assert (report.pool, report.desired, report.ready) == (POOL, 5, 2)
    assert (report.starting, report.terminating, report.short) == (3, 0, "")
    whole = {"version": 1, "desired": 5, "ready": 2, "starting": 1, "terminating": 4,
             "short": "no racks", "more": 1}  # fmt: skip
    report = await command(saying(whole)).read()
    assert (report.starting, report.terminating, report.short) == (1, 4, "no racks")


@pytest.mark.parametrize(
    ("answer", "lacks"),
    [
        ({}, "a count as `desired`"),
        ({"desired": 2}, "a count as `ready`"),
        ({"desired": 2, "ready": None}, "a count as `ready`"),
        ({"desired": 2, "ready": "2"}, "a count as `ready`"),
        ({"desired": 2, "ready": 2.0}, "a count as `ready`"),
        ({"desired": 2, "ready": True}, "a count as `ready`"),
        ({"desired": -1, "ready": 0}, "a count as `desired`"),
        ({"desired": 2, "ready": 2, "starting": None}, "a count as `starting`"),
        ({"desired": 2, "ready": 2, "terminating": "?"}, "a count as `terminating`"),
        ({"desired": 2, "ready": 2, "short": 7}, "a text as `short`"),
        ({"desired": 2, "ready": 2, "version": 2}, "version 1"),
        ([2, 2], "one JSON object"),
        ({"error": {"kind": "tired"}}, "an error's `kind`, one of gone, conflict"),
        ({"error": {}}, "an error's `kind`"),
    ],
)
async def test_what_is_not_known_is_never_zero(command: Make, answer, lacks):
    with pytest.raises(Unreachable) as caught:
        await command(saying(answer)).read()
    assert f"the answer must have {lacks}" in str(caught.value)
    assert f"read of pool {POOL}" in str(caught.value)


@pytest.mark.parametrize("code", [0, 1, 3])
@pytest.mark.parametrize(
    "error", [Conflict, Gone, Invalid, NoCapacity, Throttled, Unauthorised, Unreachable]
)
async def test_an_error_has_its_kind_whatever_the_exit_code(command: Make, error, code):
    told = {"kind": error.kind, "message": "the rack\nis full", "granted": 3, "retry_after_s": 7.5}
    provider = command(f"{saying({'error': told})}; sys.exit({code})")
    with pytest.raises(CallError, match="the rack is full") as caught:
        await provider.set_replicas(5, key="a")
    assert type(caught.value) is error
    assert getattr(caught.value, "granted", 3) == 3
    assert getattr(caught.value, "retry_after_s", 7.5) == 7.5


@pytest.mark.parametrize("after", [None, "soon", -1, True])
async def test_patience_without_usable_seconds(command: Make, after):
    told = {"kind": "throttled", "retry_after_s": after}
    with pytest.raises(Throttled, match="it said nothing") as caught:
        await command(saying({"error": told})).read()
    assert caught.value.retry_after_s in (None, 1)


async def test_a_success_that_grants_less(command: Make):
    await command(saying({"granted": 5})).set_replicas(5, key="a")
    with pytest.raises(NoCapacity) as caught:
        await command(saying({"granted": 3})).set_replicas(5, key="a")
    assert caught.value.granted == 3


async def test_findings(command: Make):
    found = [{"level": "problem", "what": "no route", "remedy": "mend it"},
             {"level": "ok", "what": "rack 7"}]  # fmt: skip
    provider = command(saying({"findings": found}), env=["RACK_NOT_SET"])
    findings = await provider.inspect()
    assert [(f.level, f.what, f.remedy) for f in findings[:2]] == [
        (Level.PROBLEM, "no route", "mend it"),
        (Level.OK, "rack 7", ""),
    ]
    assert "RACK_NOT_SET" in findings[2].what


@pytest.mark.parametrize("findings", [[{"what": "x"}], [{"level": "bad", "what": "x"}], 3, ["x"]])
async def test_findings_that_are_none(command: Make, findings):
    with pytest.raises(Unreachable, match="`findings`"):
        await command(saying({"findings": findings})).inspect()


# --- how it ends ---------------------------------------------------------------------------


async def test_an_exit_code_is_told_with_the_last_words(command: Make):
    body = "print('first\\nTraceback\\nOSError: no rack  7\\n\\n', file=sys.stderr); sys.exit(4)"
    with pytest.raises(Unreachable, match=r"exit code 4: OSError: no rack 7$"):
        await command(body).read()
    with pytest.raises(Unreachable, match="exit code 4: it said nothing"):
        await command("sys.exit(4)").read()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_command_that_is_killed(command: Make, number):
    body = f"print('{{}}', flush=True); os.kill(os.getpid(), {int(number)})"
    with pytest.raises(Unreachable, match=f"killed by {number.name}"):
        await command(body).set_replicas(3, key="a")


@pytest.mark.parametrize(
    "body",
    [
        "pass",
        "print('ok')",
        "print('{\"desired\": 2, \"rea', end='')",
        "print('[' * 200_000)",
        "print('{}{}')",
        "sys.stdout.buffer.write(b'\\xff\\xfe')",
        "print('{}', file=sys.stderr)",
    ],
)
async def test_garbage_and_half_an_object(command: Make, body):
    with pytest.raises(Unreachable, match="the answer must have one JSON object, but: "):
        await command(body).set_replicas(3, key="a")


@pytest.mark.parametrize("pad", [0, 1])
async def test_a_flood_is_killed_where_it_is_too_much(command: Make, pad):
    size = LARGEST - len('{"x": ""}') + pad
    body = f"sys.stdout.write('{{\"x\": \"' + 'x' * {size} + '\"}}'); sys.stdout.flush()"
    if pad:
        with pytest.raises(Unreachable, match="wrote more than"):
            await command(f"{body}\nwhile True: print('x' * 9999)").set_replicas(3, key="a")
    else:
        await command(body).set_replicas(3, key="a")


async def test_a_flood_of_messages_costs_nothing(command: Make):
    body = "for _ in range(3000): print('x' * 999, file=sys.stderr)\nsys.exit('the end')"
    with pytest.raises(Unreachable, match="exit code 1: the end"):
        await command(body).read()


async def test_of_messages_only_the_end_is_kept():
    program = [sys.executable, "-Ic", "import sys; sys.exit('x' * 300_000 + 'end')"]
    ended = await run(program, b"", {}, SEEN_S)
    assert ended.said.endswith("xend")
    assert len(ended.said) < KEPT


async def test_a_command_that_does_not_read_its_input(command: Make):
    provider = command(f"os.close(0); {saying({})}")
    await provider.set_replicas(3, key="a", drain=tuple(f"replica-{i}" for i in range(30_000)))


async def test_a_command_that_cannot_be_started(tmp_path: Path):
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "strange").write_bytes(b"\x7fELF?")
    (tmp_path / "strange").chmod(0o755)
    for path, why in (("missing", "No such file"), ("plain", "Permission"), ("strange", "Exec")):
        provider = ExecProvider(rule("exec", {"command": [str(tmp_path / path)]}), Settings())
        with pytest.raises(Invalid, match=f"cannot be started: .*{why}.*make it executable"):
            await provider.read()


HANG = """
child = subprocess.Popen([sys.executable, "-Ic", "import time; time.sleep(600)"])
(folder / "pids.new").write_text(f"{os.getpid()} {child.pid}")
(folder / "pids.new").replace(folder / "pids")
time.sleep(600)
"""


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


async def test_a_command_that_hangs_is_killed_with_all_that_it_started(command: Make, tmp_path):
    before = children()
    provider = command(HANG, timeout="3s")
    with pytest.raises(Unreachable, match=r"had not ended within 3 s"):
        await provider.set_replicas(3, key="a")
    assert children() <= before, "it is reaped before the call is over"
    await until(lambda: all(map(is_gone, pids(tmp_path))))


async def test_a_call_that_is_cut_off_leaves_no_process(command: Make, tmp_path):
    call = asyncio.create_task(command(HANG).read())
    await until((tmp_path / "pids").exists)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: all(map(is_gone, pids(tmp_path))))


async def test_what_a_command_leaves_behind_goes_with_it(command: Make, tmp_path):
    quiet = HANG.replace("time.sleep(600)\n", saying({"desired": 1, "ready": 1})).replace(
        '"])', '"], stdin=-3, stdout=-3, stderr=-3)'
    )
    assert (await command(quiet).read()).ready == 1
    await until(lambda: all(map(is_gone, pids(tmp_path))))


async def test_no_zombie_is_left(command: Make):
    before = children()
    provider = command(saying({"desired": 1, "ready": 1}))
    await asyncio.gather(*(provider.read() for _ in range(8)))
    assert children() <= before


# --- what is hidden ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RACK_TOKEN", "RACK_LOGIN"])
async def test_what_was_passed_is_hidden_in_all_its_words(command: Make, monkeypatch, name):
    value = "s3cret/of the+rack"
    monkeypatch.setenv(name, value)
    words = f"os.environ[{name!r}]"
    error = f"print(json.dumps({{'error': {{'kind': 'gone', 'message': {words}}}}}))"
    short = f"print(json.dumps({{'desired': 1, 'ready': 1, 'short': {words}}}))"
    finding = f"{{'level': 'ok', 'what': {words}, 'remedy': {words}}}"
    found = f"print(json.dumps({{'findings': [{finding}]}}))"
    for body in (f"sys.exit({words})", f"print({words})", error, f"sys.exit('x' * 295 + {words})"):
        with pytest.raises(CallError) as caught:
            await command(body, env=[name]).read()
        assert "s3cret" not in str(caught.value)
    assert (await command(short, env=[name]).read()).short == "***"
    (told,) = await command(found, env=[name]).inspect()
    assert (told.what, told.remedy) == ("***", "***")


# --- the target ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ({}, "exec.command"),
        ({"command": []}, "exec.command"),
        ({"command": "rack.py"}, "exec.command"),
        ({"command": ["x"], "timeout": "10s"}, "at most 9s|time limit"),
        ({"command": ["x"], "timeout": "0s"}, "time limit"),
        ({"command": ["x"], "timeout": 8}, "not a duration"),
        ({"command": ["x"], "env": ["A B"]}, "exec.env.0"),
        ({"command": ["x"], "shell": True}, "exec.shell"),
    ],
)
def test_a_wrong_target_is_told(target, wrong):
    with pytest.raises(SettingsError, match=wrong):
        ExecProvider(rule("exec", target), Settings())
