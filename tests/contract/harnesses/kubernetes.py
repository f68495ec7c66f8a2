"""The kubernetes provider against a real API server with its controllers and scheduler."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from testenv.fault_proxy import fault_proxy
from testenv.ports import HOST
from tests.contract.harness import Harness, rule
from tests.contract.real_kubernetes import cluster, documented_rules

from poolwright.actuation.provider import Unauthorised
from poolwright.actuation.providers.kubernetes import KubernetesProvider
from poolwright.settings import Settings


def writes(request: bytes) -> bool:
    return request.startswith(b"PUT ")


@contextlib.asynccontextmanager
async def harness(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with cluster() as made, contextlib.AsyncExitStack() as stack:
        plane = made.plane
        proxy = await stack.enter_async_context(
            fault_proxy(HOST, plane.port, serve_tls=plane.serving_tls(), dial_tls=plane.tls())
        )
        await made.create()
        await made.kubelet.until(ready=2)
        # What the docs say is enough has to be enough for all of this.
        token = await made.account("poolwright", documented_rules())
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(plane.config(token, proxy.url)))
        patch.setenv("KUBECONFIG", str(kubeconfig))
        path = made.path("Deployment", "chat")

        async def revoke() -> None:
            await made.revoke("poolwright", token)

        async def told() -> int:
            return await made.count(path)

        async def meddle(count: int) -> None:
            await made.set_count(path, count)

        async def remove() -> None:
            await made.ask("DELETE", path)

        async def settle(count: int) -> None:
            await made.kubelet.until(ready=count)

        target = {"kind": "Deployment", "namespace": made.namespace, "name": "chat"}
        provider = KubernetesProvider(rule("kubernetes", target), Settings())
        yield Harness(
            provider,
            told,
            meddle,
            remove=remove,
            proxy=proxy,
            writes=writes,
            refusals={Unauthorised: revoke},
            settle=settle,
        )
        await provider.close()
