"""The scale API of Nomad's jobs, as its documentation has it: an imitation, not Nomad."""

import json
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


@dataclass
class ImitatedNomad:
    """One job with one group of two allocations that run."""

    token: str
    job: str = "chat/70b"
    group: str = "inference/a"
    count: int = 2
    running: int = 2
    exists: bool = True
    stopped: bool = False
    deploying: bool = False
    refusals: list[tuple[int, str]] = field(default_factory=list)
    """Answers to the next writes, in Nomad's stead."""
    messages: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        path = "/v1/job/{job:path}/scale"
        return Starlette(
            routes=[
                Route(path, self._read, methods=["GET"]),
                Route(path, self._scale, methods=["POST"]),
            ]
        )

    async def _read(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        healthy = {"Desired": self.count, "Placed": self.running, "Running": self.running,
                   "Healthy": 0, "Unhealthy": 0, "Events": None}  # fmt: skip
        return JSONResponse(
            {"JobID": self.job, "Namespace": "default", "JobCreateIndex": 10, "JobModifyIndex": 18,
             "JobStopped": self.stopped, "TaskGroups": {self.group: healthy}}
        )  # fmt: skip

    async def _scale(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if self.refusals:
            status, text = self.refusals.pop(0)
            return PlainTextResponse(text, status_code=status)
        if self.deploying:
            return PlainTextResponse("job scaling blocked due to active deployment", 400)
        order = json.loads(await request.body())
        if order["Target"] != {"Group": self.group} or type(order["Count"]) is not int:
            return PlainTextResponse("invalid scaling request", 400)
        self.messages.append(order["Message"])
        self.count = order["Count"]
        return JSONResponse({"EvalID": "e", "EvalCreateIndex": 20, "JobModifyIndex": 19})

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("x-nomad-token") != self.token:
            return PlainTextResponse("Permission denied", 403)
        if not self.exists or request.path_params["job"] != self.job:
            return PlainTextResponse("job not found", 404)
        return None
