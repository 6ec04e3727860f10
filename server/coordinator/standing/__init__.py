"""Standing jobs: they wait for new examples or drift, start runs by themselves, and decide what goes live."""
