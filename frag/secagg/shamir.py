"""t of n shares open a secret, fewer say nothing.

Source: Shamir 1979, "How to Share a Secret", over the prime 2^521 - 1.
"""

import secrets
from collections.abc import Mapping

PRIME = 2**521 - 1
SHARE_BYTES = 66
SECRET_BYTES = 32


def split(secret: bytes, threshold: int, num_shares: int) -> list[bytes]:
    """Shares at the points 1 … n of a random polynomial of degree t - 1 whose value at 0 is the secret."""
    coefficients = [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    constant = int.from_bytes(secret)
    shares = []
    for point in range(1, num_shares + 1):
        value = 0
        for coefficient in coefficients:
            value = (value + coefficient) * point % PRIME
        shares.append(((value + constant) % PRIME).to_bytes(SHARE_BYTES))
    return shares


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret from shares by their points, by Lagrange's formula at 0.

    Raises:
        ValueError: There are too few shares, or they are not shares of one secret.
    """
    if len(shares) < threshold:
        raise ValueError(f"{len(shares)} shares of {threshold} needed")
    points = sorted(shares)[:threshold]
    total = 0
    for point in points:
        above, below = 1, 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        total += int.from_bytes(shares[point]) * above * pow(below, -1, PRIME)
    secret = total % PRIME
    if secret >> (8 * SECRET_BYTES):
        raise ValueError("these are not shares of one secret")
    return secret.to_bytes(SECRET_BYTES)
