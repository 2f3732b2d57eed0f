"""Steady, bounded load for the demo's model servers."""
