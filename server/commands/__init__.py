"""What a person types: one module per command group. Each reads arguments, calls the product and prints."""
