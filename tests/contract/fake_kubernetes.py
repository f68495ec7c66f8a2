"""A loopback server with the few routes of the Kubernetes API that scaling uses; not Kubernetes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

COST = "controller.kubernetes.io/pod-deletion-cost"


class FakeKubernetes:
    def __init__(self) -> None:
        self.replicas = 2
        self.ready = 2
        self.version = 1
        self.answers: list[int] = []
        """Status codes that the next writes get instead of being obeyed."""
        self.write_in_between = False
        self.pods: dict[str, dict[str, str]] = {}
        """Annotations by name; those that are ready beyond the count go by their deletion cost."""
        self.pod_answer: int | None = None
        """Status code that patches of pods get instead of being obeyed."""
        self.pods_hang = False
        self._released = asyncio.Event()
        self.patched: list[str] = []

    def _error(self, code: int) -> JSONResponse:
        body = {"kind": "Status", "status": "Failure", "code": code, "message": f"fake {code}"}
        return JSONResponse(body, code, {"Retry-After": "3"} if code == 429 else None)

    async def get_object(self, request: Request) -> JSONResponse:
        if request.path_params["name"] != "chat":
            return self._error(404)
        return JSONResponse(
            {
                "apiVersion": "x",
                "kind": "x",
                "metadata": {"name": "chat", "resourceVersion": str(self.version)},
                "spec": {"replicas": self.replicas},
                "status": {"replicas": self.replicas, "readyReplicas": self.ready},
            }
        )

    async def patch_pod(self, request: Request) -> JSONResponse:
        name = request.path_params["name"]
        self.patched.append(name)
        if self.pods_hang:
            await self._released.wait()
        if self.pod_answer is not None:
            return self._error(self.pod_answer)
        if name not in self.pods:
            return self._error(404)
        if request.headers["content-type"] != "application/merge-patch+json":
            return self._error(415)
        body = json.loads(await request.body())
        self.pods[name] |= body["metadata"]["annotations"]
        metadata = {"name": name, "annotations": self.pods[name]}
        return JSONResponse({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})

    def _remove_pods(self) -> None:
        """As a ReplicaSet does among ready pods: the lowest cost first, the newest of equals."""
        newest_first = reversed(list(self.pods))
        order = sorted(newest_first, key=lambda name: int(self.pods[name].get(COST, "0")))
        for name in order[: len(self.pods) - self.replicas]:
            del self.pods[name]

    def _scale(self) -> JSONResponse:
        return JSONResponse(
            {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {
                    "name": "chat",
                    "namespace": "inference",
                    "resourceVersion": str(self.version),
                },
                "spec": {"replicas": self.replicas},
                "status": {"replicas": self.replicas},
            }
        )

    async def scale(self, request: Request) -> JSONResponse:
        if request.path_params["name"] != "chat":
            return self._error(404)
        if request.method == "GET":
            answer = self._scale()
            if self.write_in_between:
                self.version += 1
                self.write_in_between = False
            return answer
        body = json.loads(await request.body())
        if self.answers:
            return self._error(self.answers.pop(0))
        if body["metadata"].get("resourceVersion") != str(self.version):
            return self._error(409)
        self.replicas = self.ready = body["spec"]["replicas"]
        self._remove_pods()
        self.version += 1
        return self._scale()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        paths = ("/apis/{group}/{version}/namespaces/inference/{plural}/{name}",)
        routes = [Route(path, self.get_object) for path in paths]
        routes += [Route(path + "/scale", self.scale, methods=["GET", "PUT"]) for path in paths]
        pod = "/api/v1/namespaces/inference/pods/{name:path}"
        routes.append(Route(pod, self.patch_pod, methods=["PATCH"]))
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off")
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[sock]))
            try:
                yield f"http://127.0.0.1:{sock.getsockname()[1]}"
            finally:
                self._released.set()
                server.should_exit = True
                await task
