"""Questions that the coordinator relays and cannot read: the asker's side, the relay, and the node's side."""
