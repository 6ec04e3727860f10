"""Secure aggregation: a sum over nodes, of which nobody sees a summand.

Source: Bonawitz et al. 2017, "Practical Secure Aggregation for Privacy-Preserving Machine Learning", Fig. 4; Bell et
al. 2020, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", whose graph is complete up to 100 nodes.

Stages, each one message of every node and one of the aggregator: keys, shares, masked vectors, confirmations of who
survived, unmasking. Nodes may drop out at each. `Participant` and `Aggregator` are state machines without any input or
output of their own.
"""

from frag.secagg.aggregator import Aggregator
from frag.secagg.parameters import Parameters
from frag.secagg.participant import Participant
from frag.secagg.ring import Ring

__all__ = ["Aggregator", "Parameters", "Participant", "Ring"]
