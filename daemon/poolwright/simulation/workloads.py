"""Workloads: public traces in their own formats, and a generated hour; columns from time 0 on."""

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from poolwright.errors import PoolwrightError
from poolwright.simulation.plant import Arrival


class TraceError(PoolwrightError):
    """A trace cannot be read; says file and line."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in the order of their arrival, one value a request in each column."""

    arrival_s: npt.NDArray[np.float64]
    """Seconds since the first one."""
    input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    request_class: tuple[str, ...] | None = None
    """None where the trace says nothing of classes; empty text for a request without one."""

    @property
    def duration_s(self) -> float:
        return float(self.arrival_s[-1]) if len(self.arrival_s) else 0.0

    @property
    def classes(self) -> frozenset[str]:
        """Those that the trace names."""
        return frozenset(self.request_class or ()) - {""}

    def arrivals(self, default_class: str, *, origin_s: float) -> Iterator[Arrival]:
        """With absolute times; requests of no class get the default one."""
        columns = (self.arrival_s, self.input_tokens, self.output_tokens)
        named = self.request_class or repeat("", len(self.arrival_s))
        for at, prompt, output, name in zip(*(c.tolist() for c in columns), named, strict=True):
            yield Arrival(origin_s + at, name or default_class, prompt, output)


COLUMNS = (
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    ("Timestamp", "Request tokens", "Response tokens"),
    ("arrival_s", "prompt_tokens", "output_tokens"),
)
CLASS_COLUMN = "class"
"""Any of the CSV formats may have it."""

Row = tuple[float, int, int, str]


def read_trace(lines: Iterable[str], name: str) -> Workload:
    """Reads Azure or BurstGPT CSV, Mooncake JSONL, or the plain CSV, told apart by line 1.

    Raises TraceError with the file's `name` and the line.
    """
    iterator = iter(lines)
    first = next(iterator, "")
    if first.lstrip().startswith("{"):
        rows = _rows(_mooncake, chain([first], iterator), name, 1)
        classes = False
    else:
        parse, classes = _csv_parser(first, name)
        rows = _rows(parse, iterator, name, 2)
    rows.sort(key=itemgetter(0))
    start = rows[0][0] if rows else 0.0
    return Workload(
        np.array([row[0] - start for row in rows], float),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.int64),
        tuple(row[3] for row in rows) if classes else None,
    )


def _rows(parse: Callable[[str], Row], lines: Iterable[str], name: str, first: int) -> list[Row]:
    rows: list[Row] = []
    number = first
    try:
        for number, line in enumerate(lines, first):  # noqa: B007  the error names the line
            if line.strip():
                rows.append(parse(line))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        msg = f"{name}:{number}: not a row of this trace ({error!r}); mend or remove the line"
        raise TraceError(msg) from error
    return rows


def _csv_parser(header_line: str, name: str) -> tuple[Callable[[str], Row], bool]:
    """The parser of the header's columns, and whether they have a class."""
    header = [cell.strip() for cell in header_line.lstrip("\ufeff").split(",")]
    names = next((c for c in COLUMNS if set(c) <= set(header)), None)
    if names is None:
        msg = f"{name}:1: unknown trace format; the header must have one of {COLUMNS}"
        raise TraceError(msg)
    at, prompt, output = (header.index(column) for column in names)
    class_at = header.index(CLASS_COLUMN) if CLASS_COLUMN in header else None

    def parse(line: str) -> Row:
        cells = next(csv.reader([line])) if '"' in line else line.split(",")
        named = "" if class_at is None else sys.intern(cells[class_at].strip())
        return _row(_seconds(cells[at]), int(cells[prompt]), int(cells[output]), named)

    return parse, class_at is not None


def _mooncake(line: str) -> Row:
    row = json.loads(line)
    return _row(row["timestamp"] / 1000, int(row["input_length"]), int(row["output_length"]), "")


def _row(at: float, prompt: int, output: int, named: str) -> Row:
    if not math.isfinite(at) or prompt < 0 or output < 0:
        msg = f"arrival {at}, {prompt} and {output} tokens: impossible values"
        raise ValueError(msg)
    return at, prompt, output, named


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        stamp = datetime.fromisoformat(text.strip()[:26])
        return (stamp - datetime(1970, 1, 1, tzinfo=stamp.tzinfo)).total_seconds()
