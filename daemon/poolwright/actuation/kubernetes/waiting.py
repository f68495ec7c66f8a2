"""How long a pod may lack a node: what targets of Kubernetes say of it alike."""

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from poolwright.actuation.target import duration_s

AWAIT_NODES_S: Final = 300.0
"""Node autoscalers take minutes to add one."""
AwaitNodes = Annotated[float, BeforeValidator(duration_s), Field(le=3600)]
"""Seconds that a pod may lack a node before the pool is short."""
