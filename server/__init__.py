"""The long-running processes and their edges. Here retrieval and language model meet, through `frag.protocols`."""
