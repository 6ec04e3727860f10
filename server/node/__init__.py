"""The process in a silo: answers from its own documents with its own model, and lets only released text out."""
