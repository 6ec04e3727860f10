"""Attacks on the product's own promises, each with a number."""
