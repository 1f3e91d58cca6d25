"""Figures, each as a ratio against an alternative in the same run. `make bench` runs all; names choose some.

Nothing here asserts: machines are noisy. The last results stand in docs/benchmarks.md.
"""
