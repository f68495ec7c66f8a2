"""The past of a service from other records: the journal and Prometheus."""

from poolwright.history.drawing import Drawn, draw
from poolwright.history.journal import journal_records
from poolwright.history.prometheus import Prometheus
from poolwright.history.record import DemandRecord
from poolwright.history.warming import keep_warm

__all__ = ["DemandRecord", "Drawn", "Prometheus", "draw", "journal_records", "keep_warm"]
