"""Decisions as CloudEvents 1.0 for a Kafka topic (Kafka protocol binding, binary mode)."""

from datetime import UTC, datetime

import msgspec

from poolwright.messaging.outbox import Message
from poolwright.model.decision import Decision

EVENT_TYPE = "dev.poolwright.decision.v1"
SOURCE = "poolwright"


def decision_message(decision: Decision) -> Message:
    """The decision as JSON, keyed by service, its CloudEvents attributes in the headers."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": decision.id,
        "ce_source": SOURCE,
        "ce_type": EVENT_TYPE,
        "ce_time": datetime.fromtimestamp(decision.at, UTC).isoformat(),
        "ce_subject": decision.pool,
        "content-type": "application/json",
    }
    headers = [(name, value.encode()) for name, value in attributes.items()]
    return Message(msgspec.json.encode(decision), headers, decision.service.encode())
