"""Simulates how SLOs are judged: the product's rule beside others, on traffic with known faults.

The rule is written a second time here, over whole arrays of runs; a test holds it against the operator's own.
"""
