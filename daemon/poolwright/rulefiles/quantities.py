"""Durations, money, shares and amounts as people write them."""

import re
from typing import Any

from poolwright.model.rule import Amount

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_AMOUNT_MAX = re.compile(r"max\(\s*(\d+)\s*,\s*(\d+(?:\.\d+)?)%\s*\)")


def duration_s(value: Any) -> float:
    text = str(value).replace(" ", "")
    parts = _PART.findall(text)
    if not isinstance(value, str) or not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f"`{value}` is not a duration; write 30s, 5ms, 10m or 1h30m")
    return float(sum(float(number) * _UNITS_S[unit] for number, unit in parts))


def usd_per_hour(value: Any) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*USD/h", str(value).strip())
    if not match:
        raise ValueError(f"`{value}` is not a price; write 27.52 USD/h")
    return float(match[1])


def fraction(value: Any) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", str(value).strip())
    if not match:
        raise ValueError(f"`{value}` is not a percentage; write 15%")
    return float(match[1]) / 100


def amount(value: Any) -> Amount:
    text = str(value).strip()
    if re.fullmatch(r"\d{1,9}", text) and not isinstance(value, bool):
        return Amount(replicas=int(text))
    if re.fullmatch(r"\d+(\.\d+)?\s*%", text):
        return Amount(fraction=fraction(text))
    if match := _AMOUNT_MAX.fullmatch(text):
        return Amount(int(match[1]), float(match[2]) / 100)
    raise ValueError(f'`{value}` is not an amount; write 4, 50% or "max(4, 100%)"')
