"""The provider that docs/providers.md shows, as it stands there, and an API for it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
TOKEN = "acme-token-of-tests"


def code() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def shown() -> Any:
    """What the code defines."""
    names: dict[str, Any] = {"__name__": "acme_poolwright"}
    exec(compile(code(), str(PAGE), "exec"), names)  # a page of ours
    return SimpleNamespace(**names)


@dataclass
class Acme:
    """One fleet; orders are carried out at once, and those known by their key are not again."""

    told: int = 2
    permissions: tuple[str, ...] = ("fleets:scale",)
    refusals: list[int] = field(default_factory=list)
    """Status codes that the next writes get instead of being obeyed."""
    removed: bool = False

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/fleets/chat", self._fleet, methods=["GET", "PUT"]),
                Route("/permissions", self._permissions),
            ]
        )

    async def _permissions(self, _: Request) -> JSONResponse:
        return JSONResponse(self.permissions)

    async def _fleet(self, request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"why": request.headers.get("authorization")}, 401)
        if self.removed:
            return JSONResponse({"why": "no such fleet"}, 404)
        if request.method == "PUT":
            if self.refusals:
                return JSONResponse({"why": "not now"}, self.refusals.pop(0))
            self.told = (await request.json())["told"]
        counts = {"told": self.told, "up": self.told, "booting": 0, "leaving": 0}
        return JSONResponse({**counts, "why": ""})
