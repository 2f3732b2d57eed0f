"""A team's own service as a check: sign the question, send it, wait, and validate what comes back."""
