"""Which nodes a question is sent to: noised counts of public topics, and a choice that forged ones cannot own."""

from frag.routing.anchors import ANCHOR_TEXTS, ANCHORS_ID, NUM_ANCHORS
from frag.routing.chooser import Chooser
from frag.routing.profiles import Profile, affinities, noised, rho_of_publication, topic_counts, topic_shares

__all__ = [
    "ANCHORS_ID",
    "ANCHOR_TEXTS",
    "NUM_ANCHORS",
    "Chooser",
    "Profile",
    "affinities",
    "noised",
    "rho_of_publication",
    "topic_counts",
    "topic_shares",
]
