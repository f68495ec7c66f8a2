"""The core's state with the offsets of what it has taken, from the journal and back."""

import logging
from collections.abc import Mapping

import msgspec

from poolwright.decision import CoreState, load_state, new_state
from poolwright.record.journal import Journal
from poolwright.telemetry.source import TopicPartition

log = logging.getLogger("poolwright")

Offsets = dict[TopicPartition, int]
"""The next offset to read, by partition."""


def restore(journal: Journal) -> tuple[CoreState, Offsets]:
    """The last checkpoint; a fresh start where there is none, or another version wrote it."""
    saved = journal.load_checkpoint()
    if saved is None:
        return new_state(), {}
    try:
        state = load_state(saved.state)
    except msgspec.MsgspecError as error:
        log.warning("the checkpoint cannot be read (%s); starting without it", error)
        return new_state(), {}
    return state, {_partition(name): offset for name, offset in saved.offsets.items()}


def named(offsets: Mapping[TopicPartition, int]) -> dict[str, int]:
    """Offsets by `topic/partition`, as the journal keeps them."""
    return {f"{p.topic}/{p.partition}": offset for p, offset in offsets.items()}


def _partition(name: str) -> TopicPartition:
    topic, _, partition = name.rpartition("/")
    return TopicPartition(topic, int(partition))
