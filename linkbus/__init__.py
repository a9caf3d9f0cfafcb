"""linkbus: asyncio messaging with OpenTelemetry span links that hold."""
