"""One client per protocol."""
