"""Probes of a canary: checks that prove that a model revision is the same product."""

__version__ = "0.1.0"
