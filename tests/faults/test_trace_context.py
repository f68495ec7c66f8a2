"""A producer's trace context, through the real Kafka, is what the decision's root links to."""

import json
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from testenv.kafka import KafkaServer
from tests.faults.fleet import Instance, Provider, ended, until, write_rules

from poolwright.model.decision import Outcome

pytestmark = pytest.mark.kafka

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def reported(daemon: Instance) -> bool:
    answer = await daemon.get("/status")
    return answer is not None and answer.json()["pools"][0]["ready"] == 1


async def test_the_decision_links_to_the_message(kafka: KafkaServer, tmp_path: Path) -> None:
    topic = "linked"
    await kafka.create_topics(topic, f"{topic}-decisions", f"{topic}-dead")
    rules = write_rules(tmp_path / "rules", ["chat"])
    event = {"type": "replica", "service": "chat", "pool": "chat-gpu", "replica": "r"}
    headers = [
        ("tracestate", b"vendor=1"),
        ("traceparent", f"00-{TRACE}-{SPAN}-00".encode()),  # not sampled by its producer
    ]
    async with Provider(["chat"]) as provider:
        daemon = Instance("daemon", kafka, topic, rules, provider)
        async with ended(daemon):
            daemon.start()
            await until(lambda: reported(daemon), daemon.log)
            async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
                value = json.dumps({**event, "at": time.time(), "running": 45.0}).encode()
                await producer.send_and_wait(topic, value, key=b"chat", headers=headers)
            await until(lambda: provider.all_at(5), daemon.log)
            daemon.terminate()
    (decision,) = [d for d in daemon.decisions() if d.outcome is Outcome.SCALE_UP]
    assert [(c.trace_id, c.span_id) for c in decision.inputs.contexts] == [(TRACE, SPAN)]
    with daemon.journal() as journal:
        spans = [json.loads(span) for span in journal.spans(decision.id)]
    (root,) = [span for span in spans if span["name"] == "poolwright.decision"]
    (link,) = root["links"]
    assert root["parent_id"] is None
    assert link["context"]["trace_id"] == f"0x{TRACE}"
    assert link["context"]["span_id"] == f"0x{SPAN}"
