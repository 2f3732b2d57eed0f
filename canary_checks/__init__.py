"""Probes of a canary: checks that prove that a model revision is the same product."""
