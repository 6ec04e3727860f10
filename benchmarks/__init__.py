"""What frag costs and reaches: measurements, and the page made of them."""
