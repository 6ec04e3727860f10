"""What leaves a node, and what is taken out of it first. Knows nothing of models, indices or networks.

`release` is the only door; `pii` finds personal data, `verbatim` finds copied passages. Both are filters:
they lower a risk and are not differential privacy. Imports nothing on its own, so that a coordinator loads no
NLP.
"""
