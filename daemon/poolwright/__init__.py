"""Poolwright: the autoscaler of LLM inference fleets that can explain every decision."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwright.controller import Controller

__all__ = ["Controller"]


def __getattr__(name: str) -> object:
    # Late, so that `import poolwright.errors` does not load the rule compiler.
    if name == "Controller":
        from poolwright.controller import Controller  # noqa: PLC0415

        return Controller
    msg = f"module 'poolwright' has no attribute {name!r}"
    raise AttributeError(msg)
