"""The kubernetes provider against an imitation of the least it needs: no watch, no pods."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from testenv.fault_proxy import fault_proxy
from tests.contract.fake_kubernetes import FakeKubernetes
from tests.contract.harness import Harness, rule

from poolwright.actuation.provider import Conflict, Gone, Throttled, Unauthorised, Unreachable
from poolwright.actuation.providers.kubernetes import PAUSES_S, KubernetesProvider
from poolwright.settings import Settings

REFUSALS = {Conflict: 409, Throttled: 429, Unauthorised: 403, Unreachable: 503, Gone: 404}


def write_kubeconfig(path: Path, url: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(config))


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    fake = FakeKubernetes()

    async def told() -> int:
        return fake.replicas

    async def meddle(count: int) -> None:
        fake.replicas = fake.ready = count
        fake.version += 1

    def answering(code: int) -> Callable[[], Awaitable[None]]:
        async def refuse() -> None:
            # A conflict may come from the object's own controller: it counts when it stays.
            fake.answers += [code] * (1 + len(PAUSES_S) if code == 409 else 1)

        return refuse

    async def settle(_: int) -> None: ...

    async with fake.serving() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        async with fault_proxy(host, int(port)) as proxy:
            write_kubeconfig(folder / "kubeconfig", proxy.url)
            patch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
            target = {"kind": "Deployment", "namespace": "inference", "name": "chat"}
            provider = KubernetesProvider(rule("kubernetes", target), Settings())
            yield Harness(
                provider,
                told,
                meddle,
                proxy=proxy,
                writes=lambda request: request.startswith(b"PUT "),
                refusals={error: answering(code) for error, code in REFUSALS.items()},
                settle=settle,
            )
            await provider.close()
