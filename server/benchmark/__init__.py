"""Benchmarks of the shipped service, run by `frag bench`."""
