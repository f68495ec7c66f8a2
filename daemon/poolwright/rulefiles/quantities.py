"""Durations, money, shares and amounts as people write them."""

import re
from typing import Any

from poolwright.model.rule import Amount

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = r"[0-9]{1,9}(\.[0-9]+)?"

# Also the patterns of the JSON Schema, therefore nothing that JavaScript reads otherwise.
DURATION = rf"^\s*({_NUMBER}\s*(ms|s|m|h|d)\s*)+$"
HORIZON = rf"^\s*(startup|({_NUMBER}\s*(ms|s|m|h|d)\s*)+)\s*$"
PRICE = rf"^\s*{_NUMBER}\s*USD/h\s*$"
SHARE = rf"^\s*{_NUMBER}\s*%\s*$"
AMOUNT = rf"^\s*([0-9]{{1,9}}|{_NUMBER}\s*%|max\(\s*[0-9]{{1,9}}\s*,\s*{_NUMBER}\s*%\s*\))\s*$"

NEGATIVE = rf"\s*-\s*{_NUMBER}.*"

_PART = re.compile(rf"({_NUMBER})\s*(ms|s|m|h|d)")
_BARE = re.compile(rf"\s*{_NUMBER}\s*")


class QuantityError(ValueError):
    """What is written cannot be read; `hint` says how to write it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def _without_unit(value: Any, hint: str) -> QuantityError | None:
    if isinstance(value, bool) or not _BARE.fullmatch(str(value)):
        return None
    return QuantityError(f"`{value}` has no unit", hint)


def duration_s(value: Any) -> float:
    """Seconds of `30s`, `1h30m`; raises QuantityError."""
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        return float(sum(float(part[1]) * _UNITS_S[part[3]] for part in _PART.finditer(value)))
    hint = "write 30s, 5ms, 10m or 1h30m"
    if isinstance(value, (int, float, str)) and re.fullmatch(NEGATIVE, str(value)):
        raise QuantityError(f"`{value}` is negative", "write a duration from 0s on")
    missing = _without_unit(value, f"write {str(value).strip()}s for seconds; or ms, m, h, d")
    raise missing or QuantityError(f"`{value}` is not a duration", hint)


def horizon_s(value: Any) -> float:
    """Seconds ahead; 0 for `startup`, which is measured. Raises QuantityError."""
    return 0.0 if value == "startup" else duration_s(value)


def usd_per_hour(value: Any) -> float:
    """Dollars an hour of `27.52 USD/h`; raises QuantityError."""
    if isinstance(value, str) and re.fullmatch(PRICE, value):
        return float(value.partition("U")[0])
    missing = _without_unit(value, f"write {str(value).strip()} USD/h")
    raise missing or QuantityError(f"`{value}` is not a price", "write it like 27.52 USD/h")


def fraction(value: Any) -> float:
    """0.15 of `15%`; raises QuantityError."""
    if isinstance(value, str) and re.fullmatch(SHARE, value):
        return float(value.partition("%")[0]) / 100
    raise _as_share(value) or QuantityError(f"`{value}` is not a percentage", "write it like 15%")


def _as_share(value: Any) -> QuantityError | None:
    if isinstance(value, bool) or not _BARE.fullmatch(str(value)):
        return None
    number = float(value)
    return _without_unit(value, f"write {number * 100 if number <= 1 else number:g}%")


def amount(value: Any) -> Amount:
    """Replicas, a share of them, or the larger of both; raises QuantityError."""
    text = str(value)
    if isinstance(value, (str, int)) and re.fullmatch(AMOUNT, text):
        numbers = [match[0] for match in re.finditer(_NUMBER, text)]
        if "%" not in text:
            return Amount(replicas=int(numbers[0]))
        if len(numbers) == 1:
            return Amount(fraction=float(numbers[0]) / 100)
        return Amount(int(numbers[0]), float(numbers[1]) / 100)
    as_share = _as_share(value) if isinstance(value, float) and value < 1 else None
    hint = as_share.hint if as_share else 'write 4, 50% or "max(4, 100%)"'
    raise QuantityError(f"`{value}` is not an amount of replicas", hint)
