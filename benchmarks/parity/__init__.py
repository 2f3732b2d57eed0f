"""Speed and memory of the parity numerics beside their peers, in one run: ``python -m benchmarks.parity``."""
