"""What every Kafka client of the daemon shares: the connection, and an outbox that never blocks."""
