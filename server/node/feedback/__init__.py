"""What askers say of this node's answers: kept in quarantine, and made into training examples by the node's policy."""
