"""Makes and publishes the Space: `python -m chat.space`."""
