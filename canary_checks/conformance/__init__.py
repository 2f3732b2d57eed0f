"""Whether a team's own check keeps its contract: it is asked about small servers, and its answers read."""
