"""Vectors that outgrow exact search: sealed, compressed, memory-mapped files beside the database.

Everything here is derived. The database holds the vectors, what lives, and which files count (`manifest`); a file that
is missing or damaged costs speed, never a document. What a search returns is scored from the database's own vectors.
"""
