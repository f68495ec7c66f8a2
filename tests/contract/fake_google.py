"""A loopback server with the calls that scaling an instance group takes; not Google.

Every request and every answer is held against Google's own description of its APIs.
"""

import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.contract import schema_google
from tests.contract.simulated_plant import served
from typing_extensions import override

PROJECT = "ml-prod"
GROUP = "chat-h100"
HOST = "https://www.googleapis.com/compute/v1"


@dataclass
class Refusal:
    """What the next write gets instead of being obeyed."""

    status: int
    reason: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self) -> JSONResponse:
        one = {"message": self.message, "domain": "usageLimits", "reason": self.reason}
        error = {"code": self.status, "message": self.message, "errors": [one]}
        return JSONResponse({"error": error}, self.status, self.headers)


@dataclass
class Instance:
    name: str
    action: str = "CREATING"
    status: str | None = None
    health: str | None = None
    target: str = "RUNNING"
    errors: list[dict[str, str]] = field(default_factory=list)

    @override
    def __str__(self) -> str:
        return f"{self.action}-{self.status}-{self.health}"


class FakeGoogle:
    """One group in `place` (`zones/…` or `regions/…`) with two instances that serve."""

    def __init__(self, place: str = "zones/us-central1-a") -> None:
        self.place = place
        self.size: int | None = 2
        """None: somebody has deleted the group."""
        self.instances: list[Instance] = []
        self.page_size = 500
        self.autoscaler: dict[str, Any] | None = None
        self.granted = {
            "compute.instanceGroupManagers.get",
            "compute.instanceGroupManagers.update",
            "compute.zoneOperations.get",
            "compute.regionOperations.get",
        }
        self.errors: list[dict[str, Any]] = []
        self.refusals: list[Refusal] = []
        self.operation_errors: list[dict[str, str]] = []
        """What the next operation ends with."""
        self.done_at_once = False
        self.before_writing: Callable[[], None] | None = None
        """Called once, just before a write has its effect."""
        self.tokens: list[str] = []
        self.seen: list[str] = []
        """Methods that were called, as Google names them, in order."""
        self.violations: list[str] = []
        self._operations: dict[str, dict[str, Any]] = {}
        self._made = 0
        self.resize(2)
        self.settle()

    # --- the group ------------------------------------------------------------------------

    def resize(self, size: int) -> None:
        assert self.size is not None
        members = [found for found in self.instances if found.action != "DELETING"]
        for found in members[size:]:
            found.action = "DELETING"
        for _ in range(size - len(members)):
            self._made += 1
            self.instances.append(Instance(f"{GROUP}-{self._made:04d}"))
        self.size = size

    def settle(self) -> None:
        """All that was under way has ended well."""
        self.instances = [found for found in self.instances if found.action != "DELETING"]
        for found in self.instances:
            found.action, found.status, found.errors = "NONE", "RUNNING", []

    def fail(
        self, code: str, message: str, *, at: dt.datetime | None = None, action: str = "CREATING"
    ) -> None:
        """An error of the group as listErrors has it."""
        at = at or dt.datetime.now(dt.UTC)
        self.errors.append(
            {
                "error": {"code": code, "message": message},
                "instanceActionDetails": {"action": action},
                "timestamp": at.isoformat(),
            }
        )

    def expire_tokens(self) -> None:
        self.tokens.append("nobody has this one")

    # --- the server -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        routes = [
            Route("/token", self._token, methods=["POST"]),
            Route("/{path:path}", self._answer, methods=["GET", "POST", "PATCH", "PUT"]),
        ]
        async with served(Starlette(routes=routes)) as url:
            yield url
        assert self.violations == []

    async def _token(self, request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode())
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        self.tokens.append(f"ya29.token-number-{len(self.tokens)}")
        token = {"access_token": self.tokens[-1], "expires_in": 3600, "token_type": "Bearer"}
        return JSONResponse(token)

    async def _answer(self, request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {(self.tokens or [''])[-1]}":
            return Refusal(401, "authError", "Invalid Credentials").answer()
        api = "compute.v1" if "/compute/" in request.url.path else "cloudresourcemanager.v3"
        body = json.loads(await request.body() or b"null")
        query = dict(request.query_params)
        try:
            method, names = schema_google.matched(api, request.method, request.url.path)
            schema_google.check_request(method, names, query, body)
            self.seen.append(method.id)
            answer = self._do(method.id.rpartition(".")[2], names, query, body)
            if isinstance(answer, Refusal):
                return answer.answer()
            schema_google.check_answer(method, answer)
        except Exception as violation:
            self.violations.append(repr(violation))
            raise
        return JSONResponse(answer)

    def _do(  # noqa: PLR0911  one line a call
        self, call: str, names: dict[str, str], query: dict[str, str], body: Any
    ) -> dict[str, Any] | Refusal:
        if call == "testIamPermissions":
            return {"permissions": sorted(self.granted & set(body["permissions"]))}
        if call == "wait":
            self._operations[names["operation"]]["status"] = "DONE"
            return self._operations[names["operation"]]
        if "autoscaler" in names:
            assert self.autoscaler is not None
            return self.autoscaler
        if names.get("instanceGroupManager") != GROUP or self.size is None:
            return Refusal(404, "notFound", f"The resource '{self._link()}' was not found")
        match call:
            case "get":
                return self._group()
            case "listManagedInstances":
                return self._paged(
                    "managedInstances", list(map(self._listed, self.instances)), query
                )
            case "listErrors":
                return self._paged("items", self.errors, query)
            case _:
                return self._written(call, query, body)

    def _written(self, call: str, query: dict[str, str], body: Any) -> dict[str, Any] | Refusal:
        if self.refusals:
            return self.refusals.pop(0)
        request_id = query["requestId"]
        if (known := self._operations.get(f"operation-{request_id}")) is not None:
            return known
        if self.before_writing is not None:
            meddling, self.before_writing = self.before_writing, None
            meddling()
        name = f"operation-{request_id}"
        operation = {
            "kind": "compute#operation",
            "name": name,
            "operationType": f"compute.instanceGroupManagers.{call}",
            "status": "DONE" if self.done_at_once else "RUNNING",
            "targetLink": self._link(),
        }
        errors, self.operation_errors = self.operation_errors, []
        if not errors and call == "deleteInstances":
            errors = self._deleted(body["instances"])
        elif not errors:
            self.resize(int(query["size"]))
        if errors:
            operation["error"] = {"errors": errors}
            operation["httpErrorStatusCode"] = 400
        self._operations[name] = operation
        return operation

    def _deleted(self, links: list[str]) -> list[dict[str, str]]:
        """As with `skipInstancesOnValidationError` unset: all of them or none."""
        members = {self._listed(found)["instance"]: found for found in self.instances}
        wrong = [link for link in links if link not in members or self._leaves(members[link])]
        if wrong:
            return [{"code": "INVALID_USAGE", "message": f"{wrong} are not to be deleted"}]
        for link in links:
            members[link].action = "DELETING"
        assert self.size is not None
        self.size -= len(links)
        return []

    # --- its words ------------------------------------------------------------------------

    @staticmethod
    def _leaves(instance: Instance) -> bool:
        return instance.action == "DELETING"

    def _paged(self, items: str, found: list[Any], query: dict[str, str]) -> dict[str, Any]:
        first = int(query.get("pageToken", "0"))
        page: dict[str, Any] = {items: found[first : first + self.page_size]}
        if first + self.page_size < len(found):
            page["nextPageToken"] = str(first + self.page_size)
        return page

    def _link(self) -> str:
        return f"{HOST}/projects/{PROJECT}/{self.place}/instanceGroupManagers/{GROUP}"

    def _group(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "isStable": all(found.action == "NONE" for found in self.instances),
            "versionTarget": {"isReached": True},
        }
        if self.autoscaler is not None:
            name = self.autoscaler["name"]
            status["autoscaler"] = f"{HOST}/projects/{PROJECT}/{self.place}/autoscalers/{name}"
        actions: dict[str, int] = {}
        for found in self.instances:
            actions[found.action.lower()] = actions.get(found.action.lower(), 0) + 1
        return {
            "kind": "compute#instanceGroupManager",
            "id": "4242424242424242",
            "name": GROUP,
            self.place.partition("s/")[0]: f"{HOST}/projects/{PROJECT}/{self.place}",
            "baseInstanceName": GROUP,
            "targetSize": self.size,
            "currentActions": actions,
            "status": status,
            "fingerprint": "7xkVDJ1Pj0w=",
            "listManagedInstancesResults": "PAGINATED",
            "selfLink": self._link(),
        }

    def _listed(self, instance: Instance) -> dict[str, Any]:
        zone = self.place if self.place.startswith("zones/") else "zones/us-central1-b"
        listed: dict[str, Any] = {
            "name": instance.name,
            "instance": f"{HOST}/projects/{PROJECT}/{zone}/instances/{instance.name}",
            "currentAction": instance.action,
            "targetStatus": instance.target,
        }
        if instance.status is not None:
            listed["instanceStatus"] = instance.status
        if instance.health is not None:
            listed["instanceHealth"] = [{"detailedHealthState": instance.health}]
        if instance.errors:
            listed["lastAttempt"] = {"errors": {"errors": instance.errors}}
        return listed
