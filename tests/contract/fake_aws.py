"""A loopback server that answers as AWS where moto does not; not AWS.

A test says what each operation answers. The answers are put into the wire format by botocore's own
descriptions of the services and read back with botocore's own parser before they are sent: a field
that AWS does not have, or has elsewhere, fails the test.
"""

import asyncio
import base64
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import botocore.session
from botocore.parsers import create_parser
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.contract.simulated_plant import served

IDENTITY = {
    "Arn": "arn:aws:iam::123456789012:user/poolwright",
    "Account": "123456789012",
    "UserId": "AIDAFORTESTS",
}


@dataclass(frozen=True)
class Refusal:
    """An error of AWS: `code` as the service names it."""

    code: str
    message: str = "as the imitation was told"
    status: int = 400
    retry_after: str | None = None


@dataclass(frozen=True)
class Raw:
    """An answer that no AWS service wrote."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """What came: the operation, what it was asked, and by whom."""

    operation: str
    arguments: Mapping[str, Any]
    access_key: str


@dataclass
class FakeAws:
    """`answers` by operation (as AWS spells it); those in `once` come first, each for one call."""

    answers: dict[str, Any] = field(default_factory=lambda: {"GetCallerIdentity": IDENTITY})
    once: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    held: dict[str, list[tuple[asyncio.Event, asyncio.Event]]] = field(default_factory=dict)

    def hold(self, operation: str) -> tuple[asyncio.Event, asyncio.Event]:
        """An answer comes when the first event is set; the second says that it was asked for."""
        events = asyncio.Event(), asyncio.Event()
        self.held.setdefault(operation, []).append(events)
        return events

    def called(self, operation: str) -> list[Mapping[str, Any]]:
        return [call.arguments for call in self.calls if call.operation == operation]

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        signed = request.headers["authorization"]
        service, operation, arguments = _operation(request, body, signed)
        access_key = signed.partition("Credential=")[2].partition("/")[0]
        self.calls.append(Call(operation, arguments, access_key))
        if held := self.held.get(operation):
            released, arrived = held.pop(0)
            arrived.set()
            await released.wait()
        waiting = self.once.get(operation, [])
        answer = waiting.pop(0) if waiting else self.answers[operation]
        if isinstance(answer, Raw):
            return Response(answer.body, answer.status, dict(answer.headers))
        return _written(service, operation, answer)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        route = Route("/{path:path}", self.handle, methods=["GET", "POST"])
        async with served(Starlette(routes=[route])) as url:
            yield url


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _operation(request: Request, body: bytes, signed: str) -> tuple[str, str, Mapping[str, Any]]:
    """Service, operation and arguments of a request, by the service that it is signed for."""
    service = signed.partition("Credential=")[2].split("/")[3]
    target = request.headers.get("x-amz-target", "")
    if target:
        return service, target.rpartition(".")[2], json.loads(body)
    if service == "eks":
        update = request.url.path.endswith("/update-config")
        operation = "UpdateNodegroupConfig" if update else "DescribeNodegroup"
        return service, operation, json.loads(body or b"{}")
    asked = {key: unquote(values[0]) for key, values in parse_qs(body.decode()).items()}
    return service, asked.pop("Action"), asked


def _written(service: str, operation: str, answer: Any) -> Response:
    model = _model(service).operation_model(operation)
    protocol = _model(service).metadata["protocol"]
    headers = {"x-amzn-requestid": "00000000-0000-0000-0000-000000000000"}
    if isinstance(answer, Refusal):
        if answer.retry_after is not None:
            headers["retry-after"] = answer.retry_after
        body = _refused(protocol, answer, headers)
        raw = {"status_code": answer.status, "headers": headers, "body": body}
        read = create_parser(protocol).parse(raw, model.output_shape)["Error"]
        assert (read["Code"], read["Message"]) == (answer.code, answer.message)
        return Response(body, answer.status, headers)
    if protocol == "query":
        inner = "" if model.output_shape is None else _xml(model.output_shape, answer)
        result = f"<{operation}Result>{inner}</{operation}Result>"
        id_ = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        body = f"<{operation}Response>{result}{id_}</{operation}Response>".encode()
    else:
        body = json.dumps(answer, default=lambda at: at.timestamp()).encode()
    if model.output_shape is not None:
        raw = {"status_code": 200, "headers": headers, "body": body}
        read = create_parser(protocol).parse(raw, model.output_shape)
        read.pop("ResponseMetadata")
        assert _plain(read) == _plain(answer), f"AWS has no such answer of {operation}"
    return Response(body, 200, headers)


def _refused(protocol: str, refusal: Refusal, headers: dict[str, str]) -> bytes:
    if protocol == "query":
        code, message = escape(refusal.code), escape(refusal.message)
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode()
    if protocol == "rest-json":
        headers["x-amzn-errortype"] = refusal.code
        return json.dumps({"message": refusal.message}).encode()
    return json.dumps({"__type": refusal.code, "message": refusal.message}).encode()


def _xml(shape: Any, value: Any) -> str:
    """A value in the XML of the query protocol, without its own element."""
    match shape.type_name:
        case "structure":
            return "".join(
                f"<{name}>{_xml(shape.members[name], value[name])}</{name}>" for name in value
            )
        case "list":
            return "".join(f"<member>{_xml(shape.member, one)}</member>" for one in value)
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return str(value.isoformat())
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            return escape(str(value))


def _plain(value: Any) -> Any:
    """Comparable whatever the zone a time is told in."""
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case datetime():
            return value.astimezone(UTC).replace(microsecond=0)
        case _:
            return value
