"""Prometheus sources, queries per runtime and the wrapped client."""
