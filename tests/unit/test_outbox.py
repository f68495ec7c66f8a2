"""The outbox is bounded by messages and by bytes, whether or not anybody reads."""

from poolwright.messaging.outbox import CAPACITY, CAPACITY_BYTES, Message, Outbox


def test_small_messages_are_bounded_by_number() -> None:
    outbox = Outbox("dead", {})
    for _ in range(CAPACITY + 5):
        outbox.put(Message(b"x", ()))
    assert outbox.dropped == 5


def test_large_messages_are_bounded_by_their_bytes() -> None:
    outbox = Outbox("dead", {})
    large = Message(bytes(1024 * 1024), [("reason", b"undecodable")])
    for _ in range(100):
        outbox.put(large)
    assert outbox.dropped == 100 - CAPACITY_BYTES // large.size


async def test_flush_does_not_wait_beyond_its_deadline() -> None:
    outbox = Outbox("dead", {})
    assert await outbox.flush(0.01)
    outbox.put(Message(b"x", ()))
    assert not await outbox.flush(0.01)
