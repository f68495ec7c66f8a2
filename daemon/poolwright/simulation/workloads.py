"""Workloads: public traces in their own formats, and a generated hour; columns from time 0 on."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from poolwright.errors import PoolwrightError
from poolwright.simulation.plant import Arrival


class TraceError(PoolwrightError):
    """A trace cannot be read; says file and line."""


@dataclass(frozen=True, slots=True)
class Workload:
    arrival_s: npt.NDArray[np.float64]
    input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]

    @property
    def duration_s(self) -> float:
        return float(self.arrival_s[-1]) if len(self.arrival_s) else 0.0

    def arrivals(self, request_class: str, *, origin_s: float) -> Iterator[Arrival]:
        columns = (self.arrival_s, self.input_tokens, self.output_tokens)
        for at, prompt, output in zip(*(c.tolist() for c in columns), strict=True):
            yield Arrival(origin_s + at, request_class, prompt, output)


COLUMNS = (
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    ("Timestamp", "Request tokens", "Response tokens"),
    ("arrival_s", "prompt_tokens", "output_tokens"),
)


def read_trace(lines: Iterable[str], name: str) -> Workload:
    """Reads Azure or BurstGPT CSV, Mooncake JSONL, or the plain CSV, told apart by line 1."""
    rows: list[tuple[float, int, int]] = []
    iterator = enumerate(lines, 1)
    number, first = next(iterator, (1, ""))
    try:
        if first.lstrip().startswith("{"):
            rows.append(_mooncake(first))
            for number, line in iterator:  # noqa: B007  the error names the line
                if line.strip():
                    rows.append(_mooncake(line))
        else:
            header = [cell.strip() for cell in first.lstrip("\ufeff").split(",")]
            names = next((c for c in COLUMNS if set(c) <= set(header)), None)
            if names is None:
                msg = f"{name}:1: unknown trace format; the header must have one of {COLUMNS}"
                raise TraceError(msg)
            at, prompt, output = (header.index(column) for column in names)
            for number, line in iterator:  # noqa: B007  the error names it
                if line.strip():
                    cells = next(csv.reader([line]))
                    rows.append((_seconds(cells[at]), int(cells[prompt]), int(cells[output])))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        msg = f"{name}:{number}: not a row of this trace ({error!r}); mend or remove the line"
        raise TraceError(msg) from error
    rows.sort(key=lambda row: row[0])
    start = rows[0][0] if rows else 0.0
    return Workload(
        np.array([row[0] - start for row in rows], float),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.int64),
    )


def _mooncake(line: str) -> tuple[float, int, int]:
    row = json.loads(line)
    return row["timestamp"] / 1000, int(row["input_length"]), int(row["output_length"])


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        stamp = datetime.fromisoformat(text.strip()[:26])
        return (stamp - datetime(1970, 1, 1, tzinfo=stamp.tzinfo)).total_seconds()
