"""What a simulated plant consists of: pools with their speed, price, stock and faults."""

from dataclasses import asdict, dataclass
from typing import Any

from poolwright.model.rule import ServiceRule


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` is one of replica_dies, api_unreachable, stockout."""

    at: float
    kind: str
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Inter-token time itl_base + itl_per_request·batch; prefill in chunks; KV memory in tokens."""

    name: str
    itl_base_s: float = 0.012
    itl_per_request_s: float = 0.0004
    prefill_base_s: float = 0.01
    prefill_per_token_s: float = 0.00008
    prefill_chunk_tokens: int = 2048
    max_batch: int = 64
    kv_tokens: int = 400_000
    startup_s: float = 180.0
    startup_jitter: float = 0.1
    price_usd_per_hour: float = 0.0
    lease_s: float = 0.0
    serves: tuple[str, ...] = ()
    """Request classes; empty: all."""
    stock: int = 1000
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class PlantSpec:
    service: str
    pools: tuple[PoolSpec, ...]
    sample_interval_s: float = 5.0


def plant_for(service: ServiceRule) -> PlantSpec:
    """The plant that a rule file declares; pools without a profile get PoolSpec's speed."""
    pools = []
    for pool in service.pools:
        # A declared profile names its figures as PoolSpec does.
        speed: dict[str, Any] = {} if pool.profile is None else asdict(pool.profile)
        pools.append(
            PoolSpec(
                name=pool.name,
                startup_s=pool.startup_s,
                price_usd_per_hour=pool.price_usd_per_hour or 0.0,
                lease_s=pool.lease_s,
                serves=pool.serves,
                **speed,
            )
        )
    return PlantSpec(service.service, tuple(pools))
