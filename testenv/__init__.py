"""Real services for integration tests and the demo, without Docker."""
