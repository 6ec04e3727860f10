"""The vocabulary and the mathematics of frag: types, errors, settings, protocols, privacy, merging of answers.

Knows nothing of networks, tensors or indices: `server`, `retrievers` and `prompt_tuning` build on it.
"""

__version__ = "0.1.0"
