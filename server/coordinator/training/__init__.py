"""Training jobs of the federation: rounds over connected nodes, committed one by one, and the versions they end in."""
