"""What was learned of a pool and what its demand needs: numbers that triggers decide by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Basis(StrEnum):
    """Where a figure comes from."""

    MEASURED = "measured"
    DECLARED = "declared"
    """From the rule file's `profile`."""
    PRIOR = "prior"
    """A safe guess of the program's own."""


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """One model of the forecast: its quantile, its quantile loss so far, and its weight."""

    value: float
    loss: float
    weight: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a replica of a pool carries at the SLO.

    Seconds; `itl = itl_base + itl_per_request·batch`, `prefill = base + per_token·tokens`.
    """

    basis: Basis
    itl_base_s: float
    itl_per_request_s: float
    prefill_base_s: float
    prefill_per_token_s: float
    error: float
    """Relative standard error of predicted times."""
    requests: float
    """Ended requests behind it, after forgetting."""
    utilisation: float
    """Share of a replica's time that work may fill at the SLO."""
    batch: float
    decode_s: float
    requests_per_s: float
    """Of the present mix, what one replica carries at the SLO."""
    tokens_per_s: float
    """Prompt and answer tokens of those."""
    correction: float
    """What the outcomes of requests made of the modelled need: 1 where the model held."""
    tested: float = 1.0
    """The load (need over ready replicas) up to which outcomes are known."""
    meets: bool = True
    """Whether any load at all meets the SLO; if not, the needs are best effort."""
    drift: str = ""
    """What changed lately, in words; empty while nothing did."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Of one pool for one trigger at one instant; needs in replicas of this pool."""

    trigger: str
    request_class: str
    """Whose SLO it is for."""
    at: float
    learned: bool
    """Enough requests ended to believe `capacity`."""
    capacity: Capacity
    demand_per_s: float
    """Requests that arrived a second, of the last minute."""
    waiting: float | None
    """Requests that wait now; None where no replica says."""
    need: float
    """What the arrivals of the last seconds need, at their peak."""
    level: float
    """What those of the last two minutes need, on average."""
    sustained: float
    """What those of the last five minutes need, on average."""
    expected: float | None
    """The middle of the forecast, `horizon_s` ahead."""
    upper: float | None
    """Its upper quantile: what is to be ready then. None while there is too little history."""
    quantile: float
    horizon_s: float
    startup_s: float
    """The 95th percentile of the measured start-up times (the declared one while there are few)."""
    startups: int
    """Measured start-ups behind it."""
    history_s: float
    skill: float | None
    """Share of the naive model's quantile loss that the best model saves."""
    models: Mapping[str, ModelForecast] = field(default_factory=dict)
    peak: float | None = None
    """The largest need of the history."""
    carried_on: float | None = None
    """Before there is a forecast: that need, and as much more as it has been growing in the
    horizon. None with a forecast, and in older records."""
    input_tokens: float | None = None
    """Mean prompt of the requests behind it; None while there are none, and in older records."""
    output_tokens: float | None = None
    """Mean answer, likewise."""
    early_miss_rate: float | None = None
    """Before anything is learned: share of the requests that missed their SLO with the replicas
    that are ready. None once it is learned, and while too few have ended."""
    lowered_by: float | None = None
    """What the models foretold above `upper`, beyond what the hour's requests felt. None without a
    forecast, and in older records."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to serve the forecast demand at the SLO: counts by pool, and what it costs."""

    name: str
    """`default pools` or `with POOL`."""
    replicas: Mapping[str, int]
    usd_per_hour: float
    usd_per_million_tokens: float | None
    """Prompt and answer tokens at the forecast demand; None while no demand is known."""
    unserved: float
    """Share of the worst-served class that this way cannot serve at its SLO."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The p95 of one time of a class, of requests that ended in the last ten minutes.

    Unknown (None) where too few ended there, or none of late.
    """

    request_class: str
    time: str
    """`ttft`, `itl` or `e2e`: one that the class's SLO names."""
    requests: int
    """That ended in the accelerator."""
    p95_s: float | None
    default_pool: str
    """Of the default pools that serve the class, the one with the smallest p95."""
    default_requests: int
    default_p95_s: float | None
    margin: float | None
    """Share of the default pool's p95 by which the accelerator's is smaller; below 0: it is
    larger. None where one of them is unknown."""


@dataclass(frozen=True, slots=True)
class Advantage:
    """Whether an accelerator pool may grow, and the evidence for it."""

    pool: str
    granted: bool
    kind: str
    """`economic`, `performance`, or empty where there is none."""
    why: str
    """In a sentence, for people."""
    margin: float | None
    """Share of the avoided cost of the default pools that the accelerator saves."""
    required: float | None
    utilisation: float | None
    """Of the accelerator's replicas, at the demand that the mix is made for."""
    required_utilisation: float
    held_s: float
    """For how long the present state of the advantage has lasted."""
    required_s: float
    basis: Basis
    """Where the accelerator's speed comes from."""
    default_basis: Basis
    alternatives: tuple[Alternative, ...]
    comparisons: tuple[Comparison, ...] = ()
    """Measured times against those of the default pools; none where the rules name no
    `performance`, before anything ended in the accelerator, and in older records."""
    required_p95_margin: float | None = None
    """The rules' `performance`."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a pool is to carry of its service's demand, and the count that follows from the mix."""

    classes: Mapping[str, float]
    """Share of each class's demand."""
    count: int | None
    """Of the cheapest mix; None where the pool simply follows its need."""
    detail: str = ""
