"""Performance and cost: a replay of a declared load, and what its numbers allow to say."""
