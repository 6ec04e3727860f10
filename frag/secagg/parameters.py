"""How many nodes must take part, survive and help to unmask."""

import hashlib
from dataclasses import dataclass

from frag.errors import SettingsError

MIN_NODES = 3
MAX_COMPLETE = 100
"""Above it the graph would have to be sparse, which is not built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Of one sum.

    `session` names what is summed (job and round) and is signed with every message, so that nothing can be replayed.
    `length` is the number of coordinates.

    Raises:
        SettingsError: There are too few or too many nodes.
    """

    session: str
    num_nodes: int
    length: int

    def __post_init__(self) -> None:
        if not MIN_NODES <= self.num_nodes <= MAX_COMPLETE:
            raise SettingsError(
                f"Secure aggregation is for {MIN_NODES} to {MAX_COMPLETE} nodes, not {self.num_nodes}.",
                "Use another mode, or other nodes.",
            )

    @property
    def threshold(self) -> int:
        """t = ⌊2n/3⌋ + 1 shares open a secret: two disjoint sets of helpers cannot both have so many."""
        return 2 * self.num_nodes // 3 + 1

    @property
    def min_survivors(self) -> int:
        """Vectors that a sum must hold."""
        return max(MIN_NODES, self.threshold)

    @property
    def digest(self) -> bytes:
        """32 bytes that stand for session and sizes in every signature and key."""
        text = f"{self.session}\0{self.num_nodes}\0{self.length}"
        return hashlib.sha256(b"frag-secagg-v1\0" + text.encode()).digest()
