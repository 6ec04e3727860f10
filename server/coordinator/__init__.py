"""The process that fans a question out and aggregates what nodes release."""
