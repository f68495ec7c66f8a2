"""Opens trace files: the reading itself is pure and lives in the simulation package."""

import gzip
from pathlib import Path

from poolwright.simulation.workloads import TraceError, Workload, read_trace


def open_trace(path: Path) -> Workload:
    """Reads a trace, gzip by suffix. Raises TraceError with file and line."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            return read_trace(lines, str(path))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}); check the path and its permissions"
        raise TraceError(msg) from error
