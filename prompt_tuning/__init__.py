"""The language model and what is trained on it. Knows nothing of retrieval, networks or processes: only `frag`."""
