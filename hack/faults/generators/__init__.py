"""Generators that teams break: small pipelines of diffusers with random weights, and the faults."""
