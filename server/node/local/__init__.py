"""The node's own page and API: for its operator alone, on the machine that it runs on."""
