"""A loopback server with the few routes of the Kubernetes API that scaling needs at least.

No watch, no pods, one object: for tests that want refusals at will and no control plane.
"""

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


class FakeKubernetes:
    def __init__(self) -> None:
        self.replicas = 2
        self.ready = 2
        self.version = 1
        self.answers: list[int] = []
        """Status codes that the next writes get instead of being obeyed."""

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

    async def review(self, _: Request) -> JSONResponse:
        return JSONResponse({"kind": "SelfSubjectAccessReview", "status": {"allowed": True}}, 201)

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
            return self._scale()
        body = json.loads(await request.body())
        if self.answers:
            return self._error(self.answers.pop(0))
        if body["metadata"].get("resourceVersion") != str(self.version):
            return self._error(409)
        self.replicas = self.ready = body["spec"]["replicas"]
        self.version += 1
        return self._scale()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        paths = ("/apis/{group}/{version}/namespaces/inference/{plural}/{name}",)
        routes = [Route(path, self.get_object) for path in paths]
        routes += [Route(path + "/scale", self.scale, methods=["GET", "PUT"]) for path in paths]
        reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        routes.append(Route(reviews, self.review, methods=["POST"]))
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off")
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[sock]))
            try:
                yield f"http://127.0.0.1:{sock.getsockname()[1]}"
            finally:
                server.should_exit = True
                await task
