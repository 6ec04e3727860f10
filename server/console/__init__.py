"""The web console: static files that the coordinator serves, and nothing that has to be built."""
