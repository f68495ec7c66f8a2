"""Telemetry from Kafka: consumed, decoded and held, bounded, until the next tick takes it.

Offsets are never committed by the client itself: the runtime commits what a durable checkpoint
covers. After a restart or a rebalance a partition goes on from the larger of the committed offset
and the offset that this instance's state already holds, so that nothing is lost and nothing counts
twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition
from typing_extensions import override

from poolwright.clock import Clock
from poolwright.errors import TelemetryError
from poolwright.messaging.connection import advice, connection_options
from poolwright.messaging.outbox import Outbox
from poolwright.model.names import NameTable
from poolwright.model.sample import SampleBatch, TraceContext
from poolwright.settings import KafkaSettings
from poolwright.telemetry.dead_letters import dead_letter_message
from poolwright.telemetry.decoder import Decoder, Place

log = logging.getLogger(__name__)

MAX_CONTEXTS = 16
POLL_MS = 50
FETCH_WAIT_MS = 100
"""How long a broker may hold a fetch back: telemetry is wanted young."""
PAUSED_S = 0.02
REVOKE_DEADLINE_S = 5.0
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was consumed since the last take. `offsets` are the next ones to read."""

    batches: tuple[SampleBatch, ...]
    offsets: Mapping[TopicPartition, int]
    dead: Mapping[str, int]
    """Dead letters by reason."""

    @property
    def samples(self) -> int:
        return sum(len(batch) for batch in self.batches)


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One group member. All methods belong to the event loop that called `start`."""

    def __init__(
        self,
        settings: KafkaSettings,
        clock: Clock,
        names: NameTable,
        services: frozenset[str] | None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._names = names
        self._decoder = Decoder(names, services)
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._partitioner = DefaultPartitioner()
        self._resume: dict[TopicPartition, int] = {}
        self._pending: list[SampleBatch] = []
        self._pending_samples = 0
        self._read: dict[TopicPartition, int] = {}
        self._dead: dict[str, int] = {}
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._revoking = False
        self._assigning = False
        self._early: list[Mapping[TopicPartition, list[Any]]] = []
        self._expected: dict[TopicPartition, int] = {}
        self._newest_at: float | None = None
        self.dead_letters = Outbox(settings.dead_letter_topic, connection_options(settings))
        self.generation = 0
        """Grows with every rebalance: what fences an owner that lost its partitions."""
        self.joined = False
        self.on_revoked: Callable[[], Awaitable[None]] | None = None
        """Called before partitions go: the runtime makes a checkpoint and commits."""

    # --- life ------------------------------------------------------------------------------

    def resume_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        """What the restored state already holds, by partition."""
        self._resume.update(offsets)

    def use_services(self, services: frozenset[str]) -> None:
        self._decoder = Decoder(self._names, services)

    async def start(self) -> None:
        """Joins the group. Raises TelemetryError with what to check."""
        self._consumer = AIOKafkaConsumer(
            group_id=self._settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=self._settings.fetch_max_bytes,
            max_partition_fetch_bytes=min(self._settings.fetch_max_bytes, 4 * 1024 * 1024),
            **connection_options(self._settings),
        )
        try:
            await self._consumer.start()
        except KafkaError as error:
            await self._consumer.stop()
            msg = f"Kafka cannot be reached ({error}): {advice(self._settings)}"
            raise TelemetryError(msg) from error
        self._consumer.subscribe(self._settings.topics, listener=self)
        await self.dead_letters.start()
        self._task = asyncio.create_task(self._consume(), name="kafka")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.dead_letters.stop()
        if self._consumer is not None:
            self.on_revoked = None
            await self._consumer.stop()

    # --- the group -------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        del revoked
        # What is taken from here on could not be committed any more and would count twice.
        self._revoking = True
        if self.on_revoked is not None and self._assigned:
            try:
                await asyncio.wait_for(self.on_revoked(), REVOKE_DEADLINE_S)
            except TimeoutError:
                log.warning("the checkpoint before a rebalance took too long")
        self.generation += 1
        # What was read but not taken is read again by whoever owns the partition next.
        self._pending, self._pending_samples, self._read = [], 0, {}
        self._assigned = frozenset()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = frozenset(assigned)
        self._revoking, self._assigning = False, True
        self._expected, self._early = {}, []
        for partition in partitions:
            held = self._resume.get(partition, 0)
            committed = await self._consumer.committed(partition) or 0
            if held > committed:
                self._consumer.seek(partition, held)
            self._expected[partition] = max(held, committed)
        self._assigned, self._assigning = partitions, False
        early, self._early = self._early, []
        for fetched in early:
            for partition, records in fetched.items():
                self._take_in(partition, records)
        self.joined = True

    def owns(self, service: str) -> bool:
        """Whether the partition that the service's key goes to is assigned to this instance."""
        if not self._assigned or self._consumer is None:
            return False
        for topic in self._settings.topics:
            partitions = sorted(self._consumer.partitions_for_topic(topic) or ())
            if partitions:
                number = self._partitioner(service.encode(), partitions, partitions)
                if TopicPartition(topic, number) in self._assigned:
                    return True
        return False

    # --- in --------------------------------------------------------------------------------

    async def _consume(self) -> None:
        while True:
            if self._pending_samples >= self._settings.max_pending_samples:
                # Not fetching is what bounds memory; the group's heartbeat goes on by itself.
                await asyncio.sleep(PAUSED_S)
                continue
            try:
                fetched = await self._consumer.getmany(
                    timeout_ms=POLL_MS, max_records=self._settings.fetch_max_records
                )
            except KafkaError as error:
                log.warning("Kafka does not answer (%s); trying again", error)
                await asyncio.sleep(RETRY_S)
                continue
            if self._assigning:
                # The client fetches before the callback below has said where to go on from.
                self._early.append(fetched)
                continue
            for partition, records in fetched.items():
                self._take_in(partition, records)

    def _take_in(self, partition: TopicPartition, records: list[Any]) -> None:
        # A fetch may have begun before a rebalance and end after it. What is not ours any more is
        # left to its owner; what would be read a second time is dropped by its offset.
        if partition not in self._assigned:
            return
        expected = self._expected.get(partition, 0)
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
            if not records:
                return
        self._expected[partition] = records[-1].offset + 1
        values = [record.value or b"" for record in records]
        batch, dead = self._decoder.decode(
            values, now=self._clock.now(), places=_Places(records), contexts=_contexts(records)
        )
        for letter in dead:
            self._dead[letter.reason] = self._dead.get(letter.reason, 0) + 1
            self.dead_letters.put(dead_letter_message(letter))
        self._read[partition] = records[-1].offset + 1
        if len(batch):
            self._pending.append(batch)
            self._pending_samples += len(batch)
            newest = batch.newest_at
            if newest is not None:
                self._newest_at = max(newest, self._newest_at or newest)

    async def take(self) -> Fetched | None:
        """Everything consumed since the last take; None when nothing was."""
        await asyncio.sleep(0)
        if self._revoking or not (self._read or self._dead):
            return None
        fetched = Fetched(tuple(self._pending), self._read, self._dead)
        self._pending, self._pending_samples, self._read, self._dead = [], 0, {}, {}
        self._resume.update(fetched.offsets)
        return fetched

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commits within the deadline of the settings; False when it did not come about.

        aiokafka's commit waits for the whole of an outage without an error, hence the deadline.
        """
        mine = {p: offset for p, offset in offsets.items() if p in self._assigned}
        if not mine:
            return False
        try:
            await asyncio.wait_for(self._consumer.commit(mine), self._settings.commit_timeout_s)
        except (TimeoutError, KafkaError) as error:
            log.warning("offsets were not committed (%s)", type(error).__name__)
            return False
        return True

    # --- how far behind --------------------------------------------------------------------

    def lag(self) -> dict[TopicPartition, int]:
        """Messages of each assigned partition that are not consumed yet."""
        lags = {}
        for partition in self._assigned:
            end = self._consumer.highwater(partition)
            position = self._resume.get(partition)
            if end is not None and position is not None:
                lags[partition] = max(0, end - position)
        return lags

    def telemetry_age_s(self) -> float | None:
        """Age of the newest sample consumed."""
        return None if self._newest_at is None else self._clock.now() - self._newest_at

    def behind(self) -> bool:
        """Old telemetry while there is more to read: what is known is not how things are."""
        age_s = self.telemetry_age_s()
        if age_s is None or age_s <= self._settings.behind_after_s:
            return False
        return any(self.lag().values())


class _Places(Sequence[Place]):
    """Places made when asked for: only refused messages need theirs."""

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    @overload
    def __getitem__(self, index: int) -> Place: ...
    @overload
    def __getitem__(self, index: slice) -> list[Place]: ...
    @override
    def __getitem__(self, index: int | slice) -> Place | list[Place]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        record = self._records[index]
        return Place(record.topic, record.partition, record.offset)

    @override
    def __len__(self) -> int:
        return len(self._records)


def _contexts(records: list[Any]) -> tuple[TraceContext, ...]:
    found: list[TraceContext] = []
    for record in reversed(records):
        if not record.headers:
            continue
        for name, value in record.headers:
            if name == "traceparent" and record.key is not None:
                parts = value.decode("ascii", "replace").split("-")
                if len(parts) >= 4 and len(parts[1]) == 32 and len(parts[2]) == 16:
                    service = record.key.decode("utf-8", "replace")
                    found.append(TraceContext(service, parts[1], parts[2]))
        if len(found) >= MAX_CONTEXTS:
            break
    return tuple(reversed(found))


__all__ = ["Fetched", "KafkaSource", "TopicPartition"]
