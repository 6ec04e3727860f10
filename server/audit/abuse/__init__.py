"""Ways to break a protocol, one protocol a file: what must be accepted, and what must be refused."""
