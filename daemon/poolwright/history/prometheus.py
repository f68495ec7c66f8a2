"""Past demand from a Prometheus server, or whatever speaks its HTTP API (Thanos, Mimir).

The client is synchronous: call this in a thread. What cannot be told (a gap, a stale series, NaN)
stays unknown.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
import numpy as np

from poolwright.errors import HistoryError
from poolwright.history.record import DemandRecord
from poolwright.model.sample import Floats
from poolwright.redaction import quoted
from poolwright.settings import HistorySettings

LONGEST: Final = 300
"""Characters of an error that are told."""


@dataclass(frozen=True, slots=True)
class _Series:
    """One series of a matrix: pairs of seconds since the epoch and the value as text."""

    values: list[tuple[float, str]]


class Prometheus:
    """Asks one server. Every method raises HistoryError that names the server and the query."""

    def __init__(self, url: str, settings: HistorySettings) -> None:
        self._url = url.rstrip("/")
        self._settings = settings

    def requests(self, service: str, start: float, rows: int, step_s: int) -> DemandRecord:
        """Requests a second of the service; tokens are not asked for."""
        per_s = self._rates(self._settings.requests_query, service, start, rows, step_s)
        unknown = np.full(rows, np.nan)
        return DemandRecord(start, step_s, per_s, unknown, unknown)

    def demand(self, service: str, start: float, rows: int, step_s: int) -> DemandRecord:
        """Requests a second of the service and its mean request."""
        asked = self._settings
        per_s, prompts, answers = (
            self._rates(query, service, start, rows, step_s)
            for query in (asked.requests_query, asked.input_tokens_query, asked.output_tokens_query)
        )
        some = np.where(per_s > 0.0, per_s, np.nan)
        return DemandRecord(start, step_s, per_s, prompts / some, answers / some)

    def _rates(self, query: str, service: str, start: float, rows: int, step_s: int) -> Floats:
        """Row n is the rate over the `step_s` seconds from `start + n * step_s` on."""
        query = filled_in(query, service, step_s)
        try:
            series = msgspec.convert(self._ask(query, start, rows, step_s), list[_Series])
        except msgspec.ValidationError as error:
            raise self._failed(query, f"the answer is no matrix: {error}") from error
        if len(series) > 1:
            raise self._failed(query, f"{len(series)} series; wrap it in sum(...)")
        found = np.full(rows, np.nan)
        for at, text in series[0].values if series else ():
            row, value = round((at - start) / step_s) - 1, _number(text)
            if 0 <= row < rows and value >= 0.0:
                found[row] = value
        return found

    def _ask(self, query: str, start: float, rows: int, step_s: int) -> Any:
        try:
            from prometheus_api_client import PrometheusConnect  # noqa: PLC0415  an extra
            from prometheus_api_client.exceptions import (  # noqa: PLC0415
                PrometheusApiClientException,
            )
            from urllib3 import Retry  # noqa: PLC0415  comes with it
            from urllib3.exceptions import HTTPError  # noqa: PLC0415
        except ImportError as error:
            msg = "prometheus-api-client is missing; pip install 'poolwright[prometheus]'"
            raise HistoryError(msg) from error
        times = [datetime.fromtimestamp(start + row * step_s, UTC) for row in (1, rows)]
        # Without retries an error is told as it is; a start is no reason to insist.
        client = PrometheusConnect(self._url, retry=Retry(False), timeout=self._settings.timeout_s)
        try:
            with client:
                return client.custom_query_range(query, times[0], times[1], str(step_s))
        except (OSError, HTTPError, PrometheusApiClientException) as error:
            raise self._failed(query, str(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._failed(query, f"this is not Prometheus' answer ({error!r})") from error

    def _failed(self, query: str, why: str) -> HistoryError:
        place = without_password(self._url)
        short = quoted(why.replace(self._url, place), LONGEST)
        return HistoryError(f"{place}: {short}; the query was {query}")


def filled_in(query: str, service: str, step_s: int) -> str:
    """The query of a service: its name as the inside of a PromQL string, and the window."""
    name = service.replace("\\", "\\\\").replace('"', '\\"')
    return query.replace("{service}", name).replace("{window}", f"{step_s}s")


def without_password(url: str) -> str:
    """The URL as it may stand in a log."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _number(text: str) -> float:
    """NaN for what is no number of requests."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
