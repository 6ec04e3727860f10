"""`frag doctor`: what is wrong with an installation, and what mends it.

A check is a function that says in a few words what it found, or raises a FragError whose `mend` is shown.
"""
