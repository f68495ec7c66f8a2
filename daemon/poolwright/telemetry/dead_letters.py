"""Messages that could not be used go to a topic of their own, with the reason and their place."""

from poolwright.messaging.outbox import Message
from poolwright.telemetry.decoder import DeadLetter


def dead_letter_message(letter: DeadLetter) -> Message:
    """The message as it came, with the reason and where it stood in its headers."""
    headers = [("reason", letter.reason.encode()), ("detail", letter.detail.encode())]
    if letter.place is not None:
        headers += [
            ("topic", letter.place.topic.encode()),
            ("partition", str(letter.place.partition).encode()),
            ("offset", str(letter.place.offset).encode()),
        ]
    return Message(letter.value, headers)
