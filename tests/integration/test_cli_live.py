"""`check --live` and `providers` as a person at a terminal, and a script, get them."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.contract.simulated_plant import SimulatedPlant, served
from tests.integration.third_party import install

from poolwright.actuation.calls import CALL_TIMEOUT_S
from poolwright.model.pool import PoolReport
from poolwright.model.rule import PoolRole, PoolRule

ROOT = Path(__file__).parents[2]
WIDTH = 80

SCRIPTED = '''\
"""A provider that answers as its target tells it to."""
import asyncio
from collections.abc import Hashable
from poolwright.actuation.provider import Finding, Level, Unauthorised, Unreachable
from poolwright.actuation.target import Needs, Target
from poolwright.model.pool import PoolReport

class ScriptedTarget(Target):
    needs = Needs("what a test asks for", "the variable ACME_TOKEN", ("reader: to read",))
    says: str
    desired: int = 2

class ScriptedProvider:
    def __init__(self, pool, settings):
        self._pool, self._target = pool.name, ScriptedTarget.of(pool)
        if self._target.says == "fault":
            raise RuntimeError("no such attribute")
    async def read(self):
        match self._target.says:
            case "hangs":
                await asyncio.sleep(3600)
            case "denied":
                raise Unauthorised("acme: the token is refused; renew ACME_TOKEN")
            case "away":
                raise Unreachable("acme: no route to host; check the network")
        short = "no H100 in zone b" if self._target.says == "short" else ""
        return PoolReport(self._pool, 0.0, self._target.desired, 1, 1, 1, short)
    async def set_replicas(self, count, *, key, drain=()):
        raise AssertionError("a look changes nothing")
    async def inspect(self):
        match self._target.says:
            case "hangs":
                await asyncio.sleep(3600)
            case "denied":
                raise Unauthorised("acme: the token is refused; renew ACME_TOKEN")
            case "forbidden":
                return [Finding(Level.OK, "may read the count"),
                        Finding(Level.PROBLEM, "may not set the count", "grant scaler on [chat]")]
            case "other":
                return [Finding(Level.WARNING, "an HPA sets the count, too", "delete the HPA")]
        return [Finding(Level.OK, "may read and set the count")]
    async def close(self):
        if self._target.says == "hangs":
            await asyncio.sleep(3600)
'''


@dataclass
class Shell:
    """Runs poolwright in a folder of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    async def run(self, *words: str) -> tuple[int | None, str, str]:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("POOLWRIGHT_")},
            "PYTHONPATH": os.pathsep.join([str(ROOT / "daemon"), str(self.folder / "site")]),
            "COLUMNS": str(WIDTH),
            **self.variables,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "poolwright", *words),
            env=environment,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    async def look(self) -> tuple[int | None, dict[str, Any]]:
        """By pool what `--json` tells of it."""
        code, out, err = await self.run("check", "rules.yaml", "--live", "--json")
        assert err == ""
        return code, {pool["pool"]: pool for pool in json.loads(out)["pools"]}


@pytest.fixture
def shell(tmp_path) -> Shell:
    install(
        tmp_path / "site",
        "scripted",
        SCRIPTED,
        provider="ScriptedProvider",
        target="ScriptedTarget",
    )
    return Shell(tmp_path)


def rules(shell: Shell, *pools: tuple[str, str], mode: str = "act") -> None:
    """Rules of pools, each with its name and provider, that may have 2 to 24 replicas."""
    text = f"apiVersion: poolwright/v1\nservice: chat\nmode: {mode}\npools:\n"
    for name, provider in pools:
        text += f"  - {{name: {name}, provider: {provider}, replicas: {{min: 2, max: 24}}}}\n"
    (shell.folder / "rules.yaml").write_text(text)


def scripted(says: str, desired: int = 2) -> tuple[str, str]:
    return says, f"{{scripted: {{says: {says}, desired: {desired}}}}}"


async def test_each_pool_is_looked_at_and_one_that_hangs_delays_no_other(shell) -> None:
    hanging = await asyncio.start_server(_swallow, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    kubeconfig(shell, f"http://127.0.0.1:{port}")
    rules(
        shell,
        scripted("well"),
        *(scripted(says) for says in ("hangs", "denied", "forbidden", "other", "short")),
        ("cluster", "{kubernetes: {kind: Deployment, namespace: a, name: chat}}"),
    )
    started = time.monotonic()
    code, pools = await shell.look()
    took_s = time.monotonic() - started
    hanging.close()
    assert code == 1
    # One after the other the two that hang alone would take twice the limit.
    assert CALL_TIMEOUT_S <= took_s < 2 * CALL_TIMEOUT_S
    assert {name: pool["verdict"] for name, pool in pools.items()} == {
        "well": "ok",
        "hangs": "unanswered",
        "denied": "problem",
        "forbidden": "problem",
        "other": "warning",
        "short": "warning",
        "cluster": "unanswered",
    }
    counts = pools["short"]["counts"]
    del counts["at"]
    assert counts == {
        "pool": "short",
        "desired": 2,
        "ready": 1,
        "starting": 1,
        "terminating": 1,
        "short": "no H100 in zone b",
    }
    assert pools["hangs"]["counts"] is None
    (denied,) = pools["denied"]["failures"]
    assert denied["kind"] == "unauthorised"
    assert pools["forbidden"]["findings"][1] == {
        "level": "problem",
        "what": "may not set the count",
        "remedy": "grant scaler on [chat]",
    }


async def test_what_is_told_fits_a_terminal_and_says_what_to_do(shell) -> None:
    rules(shell, scripted("well"), scripted("forbidden", 30), scripted("denied"), scripted("fault"))
    code, out, err = await shell.run("check", "rules.yaml", "--live")
    assert (code, err) == (1, "")
    assert max(map(len, out.splitlines())) <= WIDTH
    text = " ".join(out.split())
    for part in (
        "ok: 1 service(s) (chat), revision ",
        "chat, mode act",
        "well: ok",
        "scripted says well, desired 2",
        "told 2: 1 ready, 1 starting, 1 going; 2 to 24 by the rule file",
        "ok may read and set the count",
        "forbidden: problem",
        "problem may not set the count to do: grant scaler on [chat]",
        "warning the count is 30, outside 2 to 24; a daemon that starts now ",
        "denied: problem",
        "problem its counts cannot be read (unauthorised): acme: the token is refused; renew",
        "fault: problem",
        "problem the provider cannot be made (fault): RuntimeError: no such attribute",
        "replicas unknown; 2 to 24",
        "4 pools: 1 well, 3 with a problem; nothing was changed",
    ):
        assert part in text, text
    assert text.count("the token is refused") == 1


async def test_a_silent_api_alone_is_3_and_all_well_is_0(shell) -> None:
    rules(shell, scripted("well"), scripted("other"))
    assert (await shell.look())[0] == 0
    rules(shell, scripted("well"), scripted("away"))
    assert (await shell.look())[0] == 3
    rules(shell, scripted("denied"), scripted("away"))
    assert (await shell.look())[0] == 1


@pytest.mark.parametrize(
    ("mode", "desired", "decided"),
    [
        ("act", 0, {"outcome": "scale_up", "reason": "bounds", "current": 0, "desired": 2}),
        ("advise", 1, {"outcome": "advise", "reason": "bounds", "current": 1, "desired": 2}),
        ("paused", 1, {"outcome": "blocked", "reason": "paused", "current": 1, "desired": 1}),
        ("act", 3, {"outcome": "hold", "reason": "no_opinion", "current": 3, "desired": 3}),
    ],
)
async def test_it_says_what_a_daemon_would_do_of_the_count_at_once(
    shell, mode, desired, decided
) -> None:
    rules(shell, scripted("well", desired), mode=mode)
    code, pools = await shell.look()
    assert code == 0
    assert pools["well"]["at_once"] == decided
    assert pools["well"]["verdict"] == ("ok" if desired == 3 else "warning")


async def test_the_real_plant_is_looked_at_and_left_as_it_is(shell) -> None:
    plant = SimulatedPlant(PoolRule("main", PoolRole.DEFAULT, "simulated", {}, 2, 24))
    async with served(plant) as url:
        shell.variables["POOLWRIGHT_SIMULATED_URL"] = url
        rules(shell, ("main", "{simulated: {}}"))
        code, pools = await shell.look()
    assert code == 0
    assert pools["main"]["counts"]["desired"] == 2
    report: PoolReport = plant.plant.report("main")
    assert report.desired == 2


async def test_a_wrong_rule_file_is_told_before_anybody_is_asked(shell) -> None:
    rules(shell, ("main", "{scripted: {say: well}}"))
    code, out, err = await shell.run("check", "rules.yaml", "--live")
    assert (code, out) == (1, "")
    assert "rules.yaml:5:" in err
    code, out, err = await shell.run("check", "rules.yaml", "--live", "--json")
    assert (code, err) == (1, "")
    body = json.loads(out)
    assert body["problems"]
    assert body["pools"] == []


async def test_wrong_credentials_and_no_credentials_are_findings_of_their_pools(shell) -> None:
    async def denied(_: Request) -> JSONResponse:
        status = {"kind": "Status", "code": 401, "message": "Unauthorized"}
        return JSONResponse(status, 401)

    app = Starlette(routes=[Route("/{path:path}", denied, methods=["GET", "POST"])])
    cluster = ("cluster", "{kubernetes: {kind: Deployment, namespace: a, name: chat}}")
    rules(shell, cluster, scripted("well"))
    async with served(app) as url:
        kubeconfig(shell, url)
        code, pools = await shell.look()
    assert code == 1
    assert [failure["kind"] for failure in pools["cluster"]["failures"]] == ["unauthorised"]
    assert pools["well"]["verdict"] == "ok"
    shell.variables["KUBECONFIG"] = str(shell.folder / "nowhere")
    code, pools = await shell.look()
    assert code == 1
    (failure,) = pools["cluster"]["failures"]
    assert (failure["step"], failure["kind"]) == ("make", "settings")
    assert "KUBECONFIG" in failure["message"]
    assert pools["well"]["verdict"] == "ok"


# --- providers -----------------------------------------------------------------------------


async def test_providers_lists_what_is_installed_and_what_it_needs(shell) -> None:
    code, out, err = await shell.run("providers", "--json")
    assert (code, err) == (0, "")
    found = {one["name"]: one for one in json.loads(out)}
    scripted = found["scripted"]
    assert scripted["package"] == "acme-scripted 1.2"
    assert scripted["works"]
    assert scripted["needs"]["credentials"] == "the variable ACME_TOKEN"
    kubernetes = found["kubernetes"]
    assert kubernetes["client"][0].startswith("lightkube ")
    assert kubernetes["works"]
    code, out, _ = await shell.run("providers")
    assert code == 0
    assert max(map(len, out.splitlines())) <= WIDTH
    text = " ".join(out.split())
    assert "scripted what a test asks for state can be used package acme-scripted 1.2" in text
    assert "permissions reader: to read draining its API chooses who goes" in text
    assert f"{len(found)} providers, " in text


@pytest.mark.parametrize(
    ("change", "words", "install_command"),
    [
        (lambda code: code + "\nimport nothing_of_the_kind\n", "ModuleNotFoundError", ""),
        (lambda code: code.replace("class ScriptedProvider", "class Other"), "AttributeError", ""),
        (lambda code: code + "\n1 / 0\n", "ZeroDivisionError", ""),
        (
            lambda code: code.replace('("reader: to read",)', '("reader",), extra="rocket"'),
            "",
            "pip install 'acme-scripted[rocket]'",
        ),
    ],
    ids=["import", "attribute", "fault", "extra"],
)
async def test_what_cannot_be_loaded_is_listed_with_its_reason(
    shell, change: Callable[[str], str], words, install_command
) -> None:
    module = shell.folder / "site" / "acme_scripted.py"
    module.write_text(change(module.read_text()))
    code, out, _ = await shell.run("providers", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert code == 0
    assert not found["scripted"]["works"]
    assert words in found["scripted"]["error"]
    assert found["scripted"]["install"] == install_command
    assert found["simulated"]["works"]
    code, out, _ = await shell.run("providers")
    text = " ".join(out.split())
    assert (f"not usable yet: {install_command}" if install_command else words) in text


def kubeconfig(shell: Shell, url: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "some-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path = shell.folder / "kubeconfig"
    path.write_text(json.dumps(config))
    shell.variables["KUBECONFIG"] = str(path)


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
