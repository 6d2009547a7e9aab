"""The chat page: `layout` puts together what the other modules make."""
