"""What a simulated plant consists of: pools with their speed, price, stock and faults."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from poolwright.model.rule import PoolRule, ServiceRule


class FaultKind(StrEnum):
    REPLICA_DIES = "replica_dies"
    """One ready replica dies; the provider orders another."""
    POOL_LOST = "pool_lost"
    """Every replica of the pool dies and none can be ordered while it lasts."""
    STOCKOUT = "stockout"
    """Nothing more than was granted before can be ordered while it lasts."""
    SLOW = "slow"
    """Steps take `factor` times as long while it lasts: throttling."""
    SLOW_REPLICA = "slow_replica"
    """The same of one ready replica, the oldest that no fault of this kind has slowed yet."""
    API_UNREACHABLE = "api_unreachable"
    """The provider's API answers nobody while it lasts; the replicas go on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Begins `at_s` seconds after the plant's start (never an epoch time), for `duration_s`."""

    at_s: float
    kind: FaultKind
    duration_s: float = 0.0
    factor: float = 1.0


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
    """Share of `startup_s` by which a start may be shorter or longer."""
    price_usd_per_hour: float = 0.0
    lease_s: float = 0.0
    serves: tuple[str, ...] = ()
    """Request classes; empty: all."""
    stock: int = 1000
    """Replicas that the provider has in all."""
    faults: tuple[Fault, ...] = ()

    def takes(self, request_class: str) -> bool:
        return not self.serves or request_class in self.serves


@dataclass(frozen=True, slots=True)
class PlantSpec:
    service: str
    pools: tuple[PoolSpec, ...]
    sample_interval_s: float = 5.0


def pool_for(pool: PoolRule) -> PoolSpec:
    """The pool that a rule file declares; without a profile it gets PoolSpec's speed."""
    # A declared profile names its figures as PoolSpec does.
    speed: dict[str, Any] = {} if pool.profile is None else asdict(pool.profile)
    return PoolSpec(
        name=pool.name,
        startup_s=pool.startup_s,
        price_usd_per_hour=pool.price_usd_per_hour or 0.0,
        lease_s=pool.lease_s,
        serves=pool.serves,
        **speed,
    )


def plant_for(service: ServiceRule) -> PlantSpec:
    """The plant that a rule file declares."""
    return PlantSpec(service.service, tuple(pool_for(pool) for pool in service.pools))
