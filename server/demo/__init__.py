"""The demo: three clinics that never met, and three questions."""
