"""Opens trace files and gives their requests to a service; the reading itself is pure."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from poolwright.model.rule import ServiceRule
from poolwright.simulation.plant import Arrival
from poolwright.simulation.workloads import TraceError, Workload, read_trace


def open_trace(path: Path) -> Workload:
    """Reads a trace, gzip by suffix. Raises TraceError with file and line."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            return read_trace(lines, str(path))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}); check the path and its permissions"
        raise TraceError(msg) from error


def arrivals_at(workload: Workload, service: ServiceRule, *, origin_s: float) -> Iterator[Arrival]:
    """The workload's requests from `origin_s` on; those of no class are of the service's first.

    Raises TraceError when the trace names a class that the service does not have.
    """
    known = [rule.name for rule in service.classes]
    unknown = sorted(workload.classes.difference(known))
    if unknown:
        msg = (
            f"the trace has requests of class {', '.join(unknown)}, but {service.service} has "
            f"{', '.join(known) or 'no classes'}; correct the column `class` or the rule file"
        )
        raise TraceError(msg)
    return workload.arrivals(known[0] if known else "default", origin_s=origin_s)
