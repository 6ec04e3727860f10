"""Evaluation of a real federation on labelled questions, run by `frag eval`."""
