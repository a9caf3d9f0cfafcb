"""Real brokers that the test session starts, kills and restarts by itself."""
