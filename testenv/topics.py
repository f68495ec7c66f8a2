"""Topics of a broker under test."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


class TopicsError(RuntimeError):
    """Topics could not be made."""


async def create_topics(bootstrap: str, *names: str, partitions: int = 1) -> None:
    """Create topics and return when every partition has a leader."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        failed = [entry for entry in answer.topic_errors if entry[1] != 0]
        if failed:
            raise TopicsError(f"topics not created: {failed}")
        for _ in range(100):
            topics = await admin.describe_topics(list(names))
            if all(
                topic["error_code"] == 0
                and len(topic["partitions"]) == partitions
                and all(part["leader"] >= 0 for part in topic["partitions"])
                for topic in topics
            ):
                return
            await asyncio.sleep(0.1)
        raise TopicsError(f"topics without leader: {names}")
    finally:
        await admin.close()
