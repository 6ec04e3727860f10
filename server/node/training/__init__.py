"""A node's part in training jobs: examples joined with passages, a process of its own for the work, updates kept."""
