"""What the feedback log tells of the chat: volume, length, latency, likes and fallbacks over time."""
