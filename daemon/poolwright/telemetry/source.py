"""Telemetry from Kafka: consumed, decoded and held, bounded, until the next tick takes it.

Offsets are never committed by the client itself: the runtime commits what a durable checkpoint
covers. What counts and what may be committed is in `poolwright.telemetry.offsets`.

Nothing here is unbounded, whatever the topic holds: consuming pauses while samples or batches wait
for the next tick, and dead letters beyond the outbox are dropped and counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition
from typing_extensions import override

from poolwright.clock import Clock
from poolwright.errors import TelemetryError
from poolwright.messaging.connection import advice, connection_options
from poolwright.messaging.outbox import Outbox
from poolwright.model.names import NameTable
from poolwright.model.sample import SampleBatch
from poolwright.settings import KafkaSettings
from poolwright.telemetry.contexts import trace_contexts
from poolwright.telemetry.dead_letters import dead_letter_message
from poolwright.telemetry.decoder import DeadLetter, Decoder, Place
from poolwright.telemetry.offsets import Offsets

log = logging.getLogger(__name__)

POLL_MS = 50
FETCH_WAIT_MS = 100
"""How long a broker may hold a fetch back: telemetry is wanted young."""
PAUSED_S = 0.02
MAX_PENDING_BATCHES = 4096
"""A batch has a size of its own (some 4 kB), however few samples it holds."""
SESSION_S = 10.0
"""The group gives the partitions of an instance that it has not heard of for so long to others."""
HEARTBEAT_S = 3.0
LEASE_S = 7.0
"""The session less the time of a provider call: an order sent later might meet a new owner's."""
REVOKE_DEADLINE_S = 5.0
RETRY_S = 1.0
DEAD_LETTERS_S = 2.0
"""How long a commit waits for dead letters; a topic that takes none must not hold up the rest."""
HOPELESS_AFTER_S = 60.0
"""An error that trying again does not mend, for so long, ends consuming."""


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
        self._services = services
        self._offsets = Offsets()
        self._pending: list[SampleBatch] = []
        self._pending_samples = 0
        self._read: dict[TopicPartition, int] = {}
        self._dead: dict[str, int] = {}
        self._revoking = False
        self._confirmed_at: float | None = None
        self._newest: dict[TopicPartition, float] = {}
        self._newest_at: float | None = None
        self.dead_letters = Outbox(settings.dead_letter_topic, connection_options(settings))
        self.joined = False
        """Partitions are assigned (none, where the group has more members than partitions)."""
        self.on_revoked: Callable[[], Awaitable[None]] | None = None
        """Called before partitions go: the runtime makes a checkpoint and commits."""

    # --- life ------------------------------------------------------------------------------

    def resume_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        """What the restored state already holds, by partition."""
        self._offsets.restore(offsets)

    def use_services(self, services: frozenset[str]) -> None:
        self._services = services
        self._decoder = Decoder(self._names, services)

    async def start(self) -> None:
        """Joins the group. Raises TelemetryError with what to check."""
        self._consumer = AIOKafkaConsumer(
            group_id=self._settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # A service's partition of every topic goes to the same instance.
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
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
        self._hear_heartbeats()
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

    def _hear_heartbeats(self) -> None:
        """Notes when the group last confirmed this instance, which aiokafka tells nobody."""
        coordinator = self._consumer._coordinator  # noqa: SLF001
        heartbeat = coordinator._do_heartbeat  # noqa: SLF001

        async def heard() -> bool:
            sent_at = _monotonic()
            recognised: bool = await heartbeat()
            if recognised:
                self._confirmed_at = sent_at
            return recognised

        coordinator._do_heartbeat = heard  # noqa: SLF001

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        del revoked
        # What is taken from here on could not be committed any more and would count twice.
        self._revoking = True
        try:
            if self.on_revoked is not None and self._offsets.assigned:
                await asyncio.wait_for(self.on_revoked(), REVOKE_DEADLINE_S)
        except TimeoutError:
            log.warning("the checkpoint before a rebalance took too long")
        finally:
            # What was read but not taken is read again by whoever owns the partition next.
            self._pending, self._pending_samples, self._read, self._dead = [], 0, {}, {}
            self._offsets.revoke()
            self.joined = False

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # Nothing may be awaited here: what is fetched meanwhile would find no assignment and be
        # dropped for ever.
        self._offsets.assign(assigned)
        self._newest = {}
        self._confirmed_at = _monotonic()
        self._revoking, self.joined = False, True

    def owns(self, service: str) -> bool:
        """Whether the partition that the service's key goes to is assigned to this instance.

        The first topic of the settings decides, so that a service never has two owners.
        """
        if self._consumer is None or not self._offsets.assigned:
            return False
        topic = self._settings.topics[0]
        partitions = sorted(self._consumer.partitions_for_topic(topic) or ())
        if not partitions:
            return False
        number = self._partitioner(service.encode(), partitions, partitions)
        return TopicPartition(topic, number) in self._offsets

    def in_group(self) -> bool:
        """Whether the group surely still counts on this instance: the fence before every action.

        An instance that was cut off or stood still learns only later that others have its
        partitions; by then its lease is over.
        """
        confirmed_at = self._confirmed_at
        return self.joined and confirmed_at is not None and _monotonic() - confirmed_at < LEASE_S

    # --- in --------------------------------------------------------------------------------

    async def _consume(self) -> None:
        failing_since: float | None = None
        while True:
            if self._full():
                # Not fetching is what bounds memory. Heartbeats go on meanwhile; after minutes the
                # group gives the partitions to an instance that can take them.
                await asyncio.sleep(PAUSED_S)
                continue
            try:
                fetched = await self._consumer.getmany(
                    timeout_ms=POLL_MS, max_records=self._settings.fetch_max_records
                )
            except KafkaError as error:
                failing_since = failing_since or _monotonic()
                if not error.retriable and _monotonic() - failing_since > HOPELESS_AFTER_S:
                    msg = f"Kafka refuses ({error!r}): {advice(self._settings)}"
                    raise TelemetryError(msg) from error
                log.warning("Kafka does not answer (%r); trying again", error)
                await asyncio.sleep(RETRY_S)
                continue
            failing_since = None
            for partition, records in fetched.items():
                self._take_in(partition, records)

    def _full(self) -> bool:
        return (
            self._pending_samples >= self._settings.max_pending_samples
            or len(self._pending) >= MAX_PENDING_BATCHES
        )

    def _take_in(self, partition: TopicPartition, records: list[Any]) -> None:
        if partition not in self._offsets:
            return
        first, last = records[0].offset, records[-1].offset
        end = self._consumer.highwater(partition)
        counts = self._offsets.admit(partition, first, last, end)
        self._read[partition] = self._offsets.next_of(partition)
        if counts > first:
            records = [record for record in records if record.offset >= counts]
            if not records:
                return
        values = [record.value or b"" for record in records]
        batch, dead = self._decoder.decode(
            values,
            now=self._clock.now(),
            places=_Places(records),
            contexts=trace_contexts(records, self._services),
        )
        self._bury(dead)
        if len(batch):
            self._pending.append(batch)
            self._pending_samples += len(batch)
            newest = batch.newest_at
            if newest is not None:
                self._newest_at = max(newest, self._newest_at or newest)
                self._newest[partition] = max(newest, self._newest.get(partition, newest))

    def _bury(self, dead: Iterable[DeadLetter]) -> None:
        buried: set[tuple[Place | None, str]] = set()
        for letter in dead:
            self._dead[letter.reason] = self._dead.get(letter.reason, 0) + 1
            if letter.reason != "undecodable":
                # The letter is the whole message: one is enough for all of its bad events.
                which = (letter.place, letter.reason)
                if which in buried:
                    continue
                buried.add(which)
            self.dead_letters.put(dead_letter_message(letter))

    async def take(self) -> Fetched | None:
        """Everything consumed since the last take; None when nothing was.

        Raises what ended consuming: a daemon that hears nothing any more must not live on.
        """
        await asyncio.sleep(0)
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        if self._revoking or not (self._read or self._dead):
            return None
        fetched = Fetched(tuple(self._pending), self._read, self._dead)
        self._pending, self._pending_samples, self._read, self._dead = [], 0, {}, {}
        self._offsets.take(fetched.offsets)
        return fetched

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commits within the deadline of the settings; False when it did not come about.

        aiokafka's commit waits for the whole of an outage without an error, hence the deadline.
        """
        # A dead letter whose message is committed is never made again, so it goes first.
        await self.dead_letters.flush(DEAD_LETTERS_S)
        mine = self._offsets.to_commit(offsets)
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
        """Messages of each assigned partition that are not taken yet, where that is known."""
        lags = {}
        for partition in self._offsets.assigned:
            lag = self._offsets.lag(partition, self._consumer.highwater(partition))
            if lag is not None:
                lags[partition] = lag
        return lags

    def telemetry_age_s(self) -> float | None:
        """Age of the newest sample consumed."""
        return None if self._newest_at is None else self._clock.now() - self._newest_at

    def behind(self) -> bool:
        """Old telemetry while there is more to read: what is known is not how things are."""
        limit = self._clock.now() - self._settings.behind_after_s
        return any(
            lag > 0 and self._newest.get(partition, limit) < limit
            for partition, lag in self.lag().items()
        )


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


def _monotonic() -> float:
    """Seconds of real time: Kafka's timeouts know nothing of a sped-up clock."""
    return asyncio.get_running_loop().time()


__all__ = ["Fetched", "KafkaSource", "TopicPartition"]
