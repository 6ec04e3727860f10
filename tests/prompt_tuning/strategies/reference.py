"""FedAvg once more, slow and readable: plain Python floats, one coordinate at a time.

Source: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks", Algorithm 1.
"""

Vector = list[float]


def fedavg(weights: Vector, replies: list[tuple[Vector, int]], learning_rate: float) -> Vector:
    """The next weights, from what each node trained (w_k, n_k)."""
    total = sum(num_examples for _, num_examples in replies)
    after = []
    for place, before in enumerate(weights):
        change = 0.0
        for trained, num_examples in replies:
            change += num_examples / total * (trained[place] - before)
        after.append(before + learning_rate * change)
    return after
