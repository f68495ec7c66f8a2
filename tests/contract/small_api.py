"""A REST API of a test's own: it answers what the test says and remembers what it was asked."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import Receive, Scope, Send
from tests.contract.harness import rule
from tests.contract.simulated_plant import served

from poolwright.actuation.providers.http import HttpProvider
from poolwright.settings import Settings

FILE = """\
apiVersion: poolwright/v1
kind: Api
base_url: {url}
read: {{url: /pool, desired: /desired, ready: /ready, short: /short}}
set: {{url: /pool, body: {{count: "{{count}}"}}}}
reason: /why
"""
COUNTS = {"desired": 2, "ready": 2}


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Says:
    """One answer; `body` is JSON unless it is bytes."""

    body: object = field(default_factory=lambda: dict(COUNTS))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class SmallApi:
    says: list[Says] = field(default_factory=list)
    """Answers to the next requests; after them the counts."""
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        path = scope["raw_path"].decode()
        query = scope["query_string"].decode()
        target = f"{path}?{query}" if query else path
        self.asked.append(Asked(scope["method"], target, headers, body))
        says = self.says.pop(0) if self.says else Says()
        content = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
        head = [(name.encode(), value.encode()) for name, value in says.headers.items()]
        head.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": says.status, "headers": head})
        await send({"type": "http.response.body", "body": content})


def provider_of(folder: Path, text: str, **parameters: str) -> HttpProvider:
    """Of a described file with this text."""
    (folder / "apis").mkdir(exist_ok=True)
    (folder / "apis" / "small.yaml").write_text(text)
    return HttpProvider(rule("http", {"ref": "small", **parameters}), Settings(rules=folder))


@contextlib.asynccontextmanager
async def small_api(
    folder: Path, more: str = "", *changes: tuple[str, str], **parameters: str
) -> AsyncIterator[tuple[HttpProvider, SmallApi]]:
    """A provider and its API; `more` is added to the described file, then texts are changed."""
    api = SmallApi()
    async with served(api) as url:
        text = FILE.format(url=url) + more
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        provider = provider_of(folder, text, **parameters)
        yield provider, api
        await provider.close()
