"""Which offsets of the assigned partitions count, and which may be committed.

Every message counts once in this instance's state. A partition comes back from the committed
offset, which may be older than what the state holds (a commit failed: what is read again is
dropped) or newer (another instance went on meanwhile: its commit must never be undone).
"""

from collections.abc import Iterable, Mapping

from aiokafka.structs import TopicPartition


class Offsets:
    """All offsets are the next one to read, as Kafka counts them."""

    def __init__(self) -> None:
        self._held: dict[TopicPartition, int] = {}
        """What the state holds, of every partition that was ever this instance's."""
        self._next: dict[TopicPartition, int] = {}
        """Of the assigned partitions: the first offset that does not count yet."""
        self._started: dict[TopicPartition, int] = {}
        """Where reading began since the assignment: what the group had committed."""
        self._taken: dict[TopicPartition, int] = {}
        """What was taken since the assignment."""

    @property
    def assigned(self) -> Iterable[TopicPartition]:
        return self._next.keys()

    def __contains__(self, partition: TopicPartition) -> bool:
        return partition in self._next

    def restore(self, held: Mapping[TopicPartition, int]) -> None:
        """What the restored state holds."""
        self._held.update(held)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._next = {partition: self._held.get(partition, 0) for partition in partitions}
        self._started, self._taken = {}, {}

    def revoke(self) -> None:
        self.assign(())

    def admit(self, partition: TopicPartition, first: int, last: int, end: int | None) -> int:
        """The lowest offset that counts of those read, `first` to `last`; beyond `last`: none does.

        `end` is the partition's end where it is known. One that lies before what is held means
        that the log was lost or the topic made anew: what is read is new then, whatever its offset.
        """
        self._started.setdefault(partition, first)
        counts = self._next[partition]
        if end is not None and end < counts:
            counts = self._started[partition] = first
        counts = max(counts, first)
        self._next[partition] = max(counts, last + 1)
        return counts

    def next_of(self, partition: TopicPartition) -> int:
        return self._next[partition]

    def take(self, offsets: Mapping[TopicPartition, int]) -> None:
        """`offsets` are in the state from now on."""
        self._held.update(offsets)
        self._taken.update(offsets)

    def to_commit(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Those of `offsets` that move the group on; never one from before the assignment."""
        return {
            partition: offset
            for partition, offset in offsets.items()
            if offset > self._started.get(partition, offset)
        }

    def lag(self, partition: TopicPartition, end: int | None) -> int | None:
        """Messages not taken yet; None until something was read."""
        position = self._taken.get(partition, self._started.get(partition))
        if end is None or position is None:
            return None
        return max(0, end - position)
