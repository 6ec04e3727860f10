"""Benchmarks: what they report, not how fast this machine is."""
