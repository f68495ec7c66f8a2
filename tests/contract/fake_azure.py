"""A loopback server with the calls that scaling a scale set takes; not Azure.

Every request is compared with what Microsoft's own clients would send, every answer with what they
describe.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.contract import schema_azure
from tests.contract.simulated_plant import served
from typing_extensions import override

SUBSCRIPTION = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
GROUP = "ml-prod"
NAME = "chat-h100"
ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.Compute/virtualMachineScaleSets/{NAME}"
)
OPERATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus/operations"
HEADER = "what-only-the-machine-knows"


def error(code: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """As Resource Manager writes it; `details` are errors that it was made of."""
    inner = {"details": [detail["error"] for detail in details]} if details else {}
    return {"error": {"code": code, "message": message, **inner}}


@dataclass
class Refusal:
    """What the next write gets instead of being obeyed."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)


@dataclass
class Instance:
    id: int
    state: str = "Creating"
    power: str | None = None
    health: str | None = None
    failure: tuple[str, str] | None = None

    @override
    def __str__(self) -> str:
        return f"{self.state}-{self.power}-{self.health}"


class FakeAzure:
    """One scale set with two instances that serve."""

    def __init__(self, *, flexible: bool = False) -> None:
        self.flexible = flexible
        self.capacity: int | None = 2
        """None: somebody has deleted the scale set."""
        self.version = 1
        self.etags = True
        self.state = "Succeeded"
        self.view: list[dict[str, str]] = []
        """Statuses of the set's instance view."""
        self.shown: dict[str, Any] = {}
        """What the set is shown with instead; None: without it."""
        self.tags: dict[str, str] = {}
        self.instances: list[Instance] = []
        self.page_size = 500
        self.next_host: str | None = None
        """Where links to next pages lead; None: here."""
        self.roles: list[dict[str, Any]] | None = [{"actions": ["*"], "notActions": []}]
        """None: they may not be asked for."""
        self.autoscale: list[dict[str, Any]] | None = []
        self.refusals: list[Refusal] = []
        self.outcome: dict[str, Any] | None = {"status": "InProgress"}
        """Of the last order; None: it is not known any more."""
        self.keeps_capacity = False
        """Whether orders are taken and leave the capacity as it is."""
        self.before_writing: Callable[[], None] | None = None
        """Called once, just before a write has its effect."""
        self.tokens: list[str] = []
        self.seen: list[str] = []
        self.violations: list[str] = []
        self._made = 0
        self.resize(2)
        self.settle()

    # --- the scale set --------------------------------------------------------------------

    def resize(self, capacity: int) -> None:
        members = [found for found in self.instances if found.state != "Deleting"]
        for found in members[capacity:]:
            found.state = "Deleting"
        for _ in range(capacity - len(members)):
            self._made += 1
            self.instances.append(Instance(self._made))
        self.capacity = capacity
        self.version += 1

    def settle(self) -> None:
        self.instances = [found for found in self.instances if found.state != "Deleting"]
        for found in self.instances:
            found.state, found.power, found.failure = "Succeeded", "running", None

    def expire_tokens(self) -> None:
        self.tokens.append("nobody has this one")

    # --- the server -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        routes = [
            Route("/identity", self._token),
            Route(OPERATION + "/{id}", self._operation),
            Route("/{path:path}", self._answer, methods=["GET", "PATCH", "PUT", "POST"]),
        ]
        async with served(Starlette(routes=routes)) as url:
            yield url
        assert self.violations == []

    async def _token(self, request: Request) -> JSONResponse:
        """As the managed identity of App Service and Container Apps."""
        if request.headers.get("x-identity-header") != HEADER:
            return JSONResponse({"statusCode": 400, "message": "no such identity"}, 400)
        self.tokens.append(f"eyJ0.token-number-{len(self.tokens)}")
        token = {
            "access_token": self.tokens[-1],
            "expires_on": "4102444800",
            "resource": request.query_params["resource"],
            "token_type": "Bearer",
        }
        return JSONResponse(token)

    def _refuses(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {(self.tokens or [''])[-1]}":
            return None
        return JSONResponse(error("ExpiredAuthenticationToken", "The access token expired"), 401)

    async def _operation(self, request: Request) -> Response:
        if (refusal := self._refuses(request)) is not None:
            return refusal
        self.seen.append("operation")
        if self.outcome is None:
            return JSONResponse(error("NotFound", "The entity was not found"), 404)
        return JSONResponse({"name": request.path_params["id"], **self.outcome})

    async def _answer(self, request: Request) -> Response:
        if (refusal := self._refuses(request)) is not None:
            return refusal
        body = json.loads(await request.body() or b"null")
        query = dict(request.query_params)
        path = request.url.path
        if_match = request.headers.get("if-match")
        try:
            call, names = schema_azure.matched(request.method, path)
            schema_azure.check_request(call, path, names, query, if_match, body)
            self.seen.append(call.name)
            answer = self._do(call.name, names, query, body, if_match)
            if isinstance(answer, Refusal):
                return answer.answer()
            if call.listed:
                answer = self._page(answer, request)
            schema_azure.check_answer(call, answer)
        except Exception as violation:
            self.violations.append(repr(violation))
            raise
        headers = {}
        if call.name == "update":
            at = str(request.url.replace(path=f"{OPERATION}/op-{self.version}", query=""))
            headers["azure-asyncoperation"] = f"{at}?p=1&api-version=2024-07-01"
        return JSONResponse(answer, headers=headers)

    def _page(self, found: list[Any], request: Request) -> dict[str, Any]:
        first = int(request.query_params.get(schema_azure.SKIP, "0"))
        page: dict[str, Any] = {"value": found[first : first + self.page_size]}
        if first + self.page_size < len(found):
            after = {schema_azure.SKIP: first + self.page_size}
            link = request.url.include_query_params(**after)
            page["nextLink"] = str(link.replace(netloc=self.next_host) if self.next_host else link)
        return page

    def _do(  # noqa: PLR0911  one line a call
        self,
        call: str,
        names: dict[str, str],
        query: dict[str, str],
        body: Any,
        if_match: str | None,
    ) -> Any:
        if call == "autoscale":
            forbidden = Refusal(403, error("AuthorizationFailed", "not authorized to read"))
            return self.autoscale if self.autoscale is not None else forbidden
        gone = self.capacity is None or names.get("name", NAME).lower() != NAME
        if gone:
            return Refusal(404, error("ResourceNotFound", f"The Resource '{ID}' was not found."))
        match call:
            case "get":
                return self._set()
            case "view":
                return {"statuses": self.view}
            case "uniform" | "flexible":
                assert (call == "flexible") == self.flexible
                return [self._instance(found) for found in self.instances]
            case "permissions":
                forbidden = Refusal(403, error("AuthorizationFailed", "not authorized to read"))
                return self.roles if self.roles is not None else forbidden
            case _:
                return self._update(body, if_match)

    def _update(self, body: Any, if_match: str | None) -> Any:
        if self.refusals:
            return self.refusals.pop(0)
        if self.before_writing is not None:
            meddling, self.before_writing = self.before_writing, None
            meddling()
        if if_match is not None and if_match != self._etag():
            return Refusal(412, error("ConditionNotMet", "The condition is not met"))
        if not self.keeps_capacity:
            self.resize(body["sku"]["capacity"])
        return self._set()

    # --- its words ------------------------------------------------------------------------

    def _etag(self) -> str:
        return f'"{self.version}"'

    def _set(self) -> dict[str, Any]:
        sku = {"name": "Standard_ND96isr_H100_v5", "tier": "Standard", "capacity": self.capacity}
        mode = "Flexible" if self.flexible else "Uniform"
        found: dict[str, Any] = {
            "id": ID,
            "name": NAME,
            "type": "Microsoft.Compute/virtualMachineScaleSets",
            "location": "eastus",
            "tags": self.tags,
            "sku": sku,
            "properties": {
                "provisioningState": self.state,
                "orchestrationMode": mode,
                "singlePlacementGroup": False,
            },
        }
        found |= {"etag": self._etag()} if self.etags else {}
        found |= self.shown
        return {key: value for key, value in found.items() if value is not None}

    def _instance(self, instance: Instance) -> dict[str, Any]:
        code = f"ProvisioningState/{instance.state.lower()}"
        statuses = [{"code": code, "level": "Info", "displayStatus": instance.state}]
        if instance.failure is not None:
            why, message = instance.failure
            failed = f"ProvisioningState/failed/{why}"
            statuses = [{"code": failed, "level": "Error", "message": message}]
        if instance.power is not None:
            power = {"code": f"PowerState/{instance.power}", "level": "Info"}
            statuses.append(power | {"displayStatus": f"VM {instance.power}"})
        view: dict[str, Any] = {"statuses": statuses}
        if instance.health is not None:
            code = f"HealthState/{instance.health}"
            view["vmHealth"] = {"status": {"code": code, "level": "Info"}}
        properties = {"provisioningState": instance.state, "instanceView": view}
        found = {"location": "eastus", "properties": properties}
        if self.flexible:
            name = f"{NAME}_{instance.id:08x}"
            return found | {"name": name}
        return found | {"instanceId": str(instance.id), "name": f"{NAME}_{instance.id}"}
