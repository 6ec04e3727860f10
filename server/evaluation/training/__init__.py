"""`frag eval train`: federated against each node alone, pooled, and prompts that were only written."""
