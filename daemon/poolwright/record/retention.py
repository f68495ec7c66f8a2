"""Forgets what the settings do not keep, a slice at a time beside the daemon's own writes."""

import asyncio
import logging
from functools import partial

from poolwright.errors import JournalError
from poolwright.record.journal import Journal
from poolwright.record.recorder import Recorder
from poolwright.settings import JournalSettings

log = logging.getLogger(__name__)

DAY_S = 86_400.0
BETWEEN_SLICES_REAL_S = 0.05
"""The journal is left to decisions in between."""


async def forget_old(
    recorder: Recorder, journal: Journal, settings: JournalSettings, now: float
) -> int:
    """Decisions that went. What a journal that cannot be written keeps waits for the next call."""
    slice_ = partial(
        journal.prune,
        now - settings.keep_days * DAY_S,
        max_bytes=settings.max_mb * 1024 * 1024,
    )
    gone = 0
    try:
        while forgotten := await recorder.run(slice_):
            gone += forgotten
            await asyncio.sleep(BETWEEN_SLICES_REAL_S)
    except JournalError as error:
        log.warning("old decisions stay in the journal for now: %s", error)
    if gone:
        log.info("%d old decisions were forgotten", gone)
    return gone
