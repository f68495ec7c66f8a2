"""Two daemons of a group: who controls a service, and what a takeover may lose, double or do."""

import time
from pathlib import Path

import pytest
from testenv.kafka import KafkaServer
from tests.faults.fleet import (
    STABILISE_S,
    Instance,
    Order,
    Provider,
    Telemetry,
    ended,
    offsets,
    services_apart,
    until,
    write_rules,
)

from poolwright.model.decision import Reason

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(150)]

PARTITIONS = 3
HIGH, LOW = 45.0, 5.0


async def share(first: Instance, second: Instance, services: list[str]) -> None:
    """Waits until both control something and each service has exactly one owner."""

    async def shared() -> bool:
        one, two = await first.owned(), await second.owned()
        return bool(one and two and not one & two and one | two == set(services))

    await until(shared, lambda: f"not shared:\n{first.log()}\n{second.log()}")


async def controls(instance: Instance, services: list[str]) -> None:
    async def all_of_them() -> bool:
        return await instance.owned() == set(services)

    await until(all_of_them, lambda: f"not taken over:\n{instance.log()}")


@pytest.mark.parametrize("how", ["terminate", "kill"])
async def test_the_other_takes_over(kafka: KafkaServer, tmp_path: Path, how: str) -> None:
    topic = f"takeover-{how}"
    await kafka.create_topics(topic, partitions=PARTITIONS)
    await kafka.create_topics(f"{topic}-decisions", f"{topic}-dead")
    services = services_apart(PARTITIONS)
    rules = write_rules(tmp_path / "rules", services)
    async with Provider(services) as provider:
        one = Instance("one", kafka, topic, rules, provider)
        two = Instance("two", kafka, topic, rules, provider)
        async with ended(one, two), Telemetry(kafka, topic, services, HIGH) as telemetry:
            one.start()
            await controls(one, services)
            await until(lambda: provider.all_at(5), lambda: f"{provider.counts} {one.log()}")
            two.start()
            await share(one, two, services)
            await until(two.decisions, "the second never decided")

            telemetry.running = LOW
            left = await one.owned()
            committed, _ = await offsets(kafka, topic, PARTITIONS)
            getattr(one, how)()
            await controls(two, services)
            await until(lambda: provider.all_at(1), lambda: f"{provider.counts} {two.log()}", 40)

            await telemetry.end()
            _, ends = await offsets(kafka, topic, PARTITIONS)

            async def all_committed() -> bool:
                return (await offsets(kafka, topic, PARTITIONS))[0] == ends

            await until(all_committed, "messages were left unread")
            counted = await two.samples()
            two.terminate()

    # Every message counts once: in what the first held when it left, or by the second.
    held = [one.held()[f"{topic}/{number}"] for number in range(PARTITIONS)]
    assert counted >= sum(ends) - sum(held), "samples were lost"
    if how == "kill":
        # What the first took after its last commit, and no more, is read again.
        held = [
            committed[number] if service in left else held[number]
            for number, service in enumerate(services)
        ]
    assert counted <= sum(ends) - sum(held), "samples were doubled"

    acted_apart(provider.orders, one, two)
    for service in left:
        taken_at = min(d.at for d in two.decisions() if d.service == service)
        fell_at = min(
            order.at
            for order in provider.orders
            if order.pool == f"{service}-gpu" and order.count < order.before
        )
        assert fell_at - taken_at >= STABILISE_S - 0.5, "it was not observed anew"
        reasons = {d.reason for d in two.decisions() if d.service == service}
        assert Reason.STABILISING in reasons


def acted_apart(orders: list[Order], first: Instance, second: Instance) -> None:
    """Each order is of one journal, and no pool had two masters at a time."""
    firsts = {d.id: d for d in first.decisions() if d.acts}
    seconds = {d.id: d for d in second.decisions() if d.acts}
    assert not firsts.keys() & seconds.keys()
    assert {order.decision_id for order in orders} <= firsts.keys() | seconds.keys()
    for pool in {order.pool for order in orders}:
        by_second = [order.decision_id in seconds for order in orders if order.pool == pool]
        assert by_second == sorted(by_second), f"{pool} went back and forth"
        decided = [d.at for d in firsts.values() if d.pool == pool]
        later = [d.at for d in seconds.values() if d.pool == pool]
        assert max(decided, default=0.0) < min(later, default=time.time())
