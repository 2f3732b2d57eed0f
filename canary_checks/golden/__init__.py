"""Golden sets: the texts that a check sends, and what their strata isolate."""
