"""Times, durations, amounts and signals in words: what `explain` and `status` are made of."""

from datetime import UTC, datetime

from poolwright.model.rule import Amount, SignalRule
from poolwright.model.signal import Signal, SignalStatus, Unhealthy

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0

UNITS: dict[str, str] = {
    "ttft": "s",
    "itl": "s",
    "e2e": "s",
    "queue_time": "s",
    "kv_cache_usage": "%",
    "gpu_utilisation": "%",
    "cache_hit": "%",
    "requests_running": "requests",
    "requests_waiting": "requests",
    "input_tokens": "tokens",
    "output_tokens": "tokens",
    "arrival_tokens": "tokens",
    "prompt_tokens_total": "tokens",
    "generation_tokens_total": "tokens",
    "rate": "requests/s",
    "demand": "requests/s",
    "cost": "USD/h",
    "ready": "replicas",
    "starting": "replicas",
    "desired": "replicas",
}
STATS = {"avg": "mean", "sum": "sum", "min": "lowest", "max": "highest", "last": "newest"}
WHY_NOT: dict[Unhealthy, str] = {
    Unhealthy.NEVER_SEEN: "nothing was ever received",
    Unhealthy.NO_SAMPLES: "no samples in its window",
    Unhealthy.TOO_OLD: "its samples are too old",
    Unhealthy.NO_QUORUM: "too few replicas report",
    Unhealthy.IDLE: "nothing to measure, the replicas have no work",
}


def duration(seconds: float) -> str:
    """At the precision that a person wants: `45 s`, `12 min`, `3 h 20 min`, `4 days`."""
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    if seconds < 2 * DAY_S:
        hours, rest = divmod(round(seconds / MINUTE_S), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{seconds / DAY_S:,.0f} days"


def exact_duration(seconds: float) -> str:
    """As `duration`, with the seconds below an hour: how far ahead a forecast looks."""
    minutes, rest = divmod(round(seconds), 60)
    if 2 <= minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return duration(seconds)


def brief_duration(seconds: float) -> str:
    """As `duration`, with tenths where they matter: how long a call took."""
    seconds = max(seconds, 0.0)
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def ago(seconds: float) -> str:
    """How long ago; a clock that runs behind the journal's gives `in 3 s`."""
    if seconds < -1:
        return f"in {duration(-seconds)}"
    return f"{duration(max(seconds, 0.0))} ago"


def when(at: float, now: float) -> str:
    """Local time with its zone, the date where it is not today's, and how long ago."""
    local, today = (datetime.fromtimestamp(t, UTC).astimezone() for t in (at, now))
    day = "" if local.date() == today.date() else f"{local:%Y-%m-%d} "
    return f"{day}{local:%H:%M:%S %Z} ({ago(now - at)})"


def amount(value: Amount) -> str:
    """As rule files write it."""
    share = f"{value.fraction:.0%}" if value.fraction else ""
    if share and value.replicas:
        return f"max({value.replicas}, {share})"
    return share or str(value.replicas)


def number(value: float) -> str:
    """Four significant digits, never an exponent that a person has to decode."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def rounded(value: float) -> str:
    """Three significant digits: `3.63`, `222`, `7,710`; what was learned is no more exact."""
    if abs(value) < 100.0:
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):,.0f}"


def replicas(count: float) -> str:
    """A fractional need at the precision that matters: `0`, `0.59`, `4.7`, `120`."""
    if count < 0.005:
        return "0"
    if count < 1.0:
        return f"{count:.2f}"
    return f"{count:.1f}" if count < 100.0 else f"{count:,.0f}"


def percent(share: float) -> str:
    """`17%`; with a decimal below 3% and above 99%, where it matters."""
    shown = abs(share) * 100.0
    digits = 1 if 0.05 <= shown < 2.95 or 99.05 <= shown < 99.95 else 0
    return f"{share * 100.0:,.{digits}f}%".replace("-", "\N{MINUS SIGN}")


def quantity(value: float, rule: SignalRule | None) -> str:
    """The value with its unit, where the rule tells which."""
    if rule is None:
        return number(value)
    unit = _unit(rule)
    if unit == "%":
        return f"{value * 100:.3g}%"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{number(value)} {unit}".rstrip()


def _unit(rule: SignalRule) -> str:
    if rule.metric == "arrivals":
        return "requests/s" if rule.stat == "rate" else "requests"
    if rule.stat == "count":
        return "samples"
    unit = UNITS.get(rule.metric, "")
    if rule.stat in ("slope", "rate") and not unit.endswith("/s"):
        return "" if unit == "%" else f"{unit or '1'}/s"
    return unit


def signal_line(signal: Signal, rule: SignalRule | None) -> str:
    """Name, value and what it rests on, or why there is none."""
    basis = "; ".join(part for part in (_statistic(rule), _samples(signal, rule)) if part)
    shown = f" ({basis})" if basis else ""
    if signal.status is SignalStatus.FRESH and signal.value is not None:
        return f"{signal.name} = {quantity(signal.value, rule)}{shown}"
    why = "unknown why" if signal.why is None else WHY_NOT[signal.why]
    last = "" if signal.last_value is None else f", last value {quantity(signal.last_value, rule)}"
    return f"{signal.name} has no usable value: {why}{last}{shown}"


def _statistic(rule: SignalRule | None) -> str:
    if rule is None or rule.builtin:
        return ""
    metric = rule.metric if rule.request_class is None else f"{rule.metric} of {rule.request_class}"
    stat = "" if rule.metric == "rate" else f"{STATS.get(rule.stat, rule.stat)} "
    across = (
        "" if rule.across is None else f", {STATS.get(rule.across, rule.across)} of the replicas"
    )
    return f"{metric}: {stat}over {duration(rule.window_s)}{across}"


def _samples(signal: Signal, rule: SignalRule | None) -> str:
    """Requests and arrivals are counted; only gauges of replicas have a quorum."""
    if rule is not None and rule.builtin and rule.metric != "demand":
        return ""
    parts = []
    per_replica = rule.across is not None if rule is not None else signal.replicas_reporting > 0
    if per_replica and signal.replicas_expected:
        parts.append(f"{signal.replicas_reporting} of {signal.replicas_expected} replicas report")
    elif not per_replica and signal.samples:
        parts.append(f"from {signal.samples:,} {_counted(rule)}")
    if signal.age_s is not None:
        parts.append(f"newest {duration(signal.age_s)} old")
    return ", ".join(parts)


def _counted(rule: SignalRule | None) -> str:
    if rule is None:
        return "samples"
    arrivals = rule.metric in ("arrivals", "arrival_tokens", "demand")
    return "arrivals" if arrivals else "ended requests"
