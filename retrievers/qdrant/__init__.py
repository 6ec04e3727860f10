"""Vectors at a Qdrant server instead of in files: a source of candidates beside the database, which stays the truth.

The server holds ids and vectors, never text. What it names is looked up in the database: a score never depends on it,
and what was deleted cannot be found, whatever it still holds.
"""
