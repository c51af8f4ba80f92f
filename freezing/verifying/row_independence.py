"""Whether rows are independent: what is answered for an image must not change with those beside it.

A row changes with the batch where a normalisation takes its statistics from it, where something is
summed or put through a softmax over it, or where images attend to each other. Then the images of
several people, which a worker runs together, would change each other's answers.

The proof: the same images once more in other company, in another order, in a batch of another size
and with one of them changed, and each alone. An answer without a row for each image must stay what
it was.
"""

import numpy as np

from freezing.verifying.answers import Array
from freezing.verifying.differences import tolerated_difference

# Below this the answers to different samples count as one and the same answer.
_SAME = 1e-6


def other_company(inputs: Array, *, fewer: bool) -> Array:
    """Return the samples from the last to the first, or to the second, which is changed."""
    others = inputs[:0:-1].copy() if fewer else inputs[::-1].copy()
    others[-1] = np.flip(others[-1])
    return others


def influence(together: list[Array], elsewhere: list[Array], images: int) -> float:
    """Return how far answers moved with `other_company`, as the tolerance counts it."""
    return max(_moved(a, b, images) for a, b in zip(together, elsewhere, strict=True))


def influence_alone(together: list[Array], alone: list[Array], images: int) -> float:
    """Return how far answers that have a row per image are from those to each image alone."""
    return max(
        tolerated_difference(a, b) if a.shape == b.shape else np.inf
        for a, b in zip(together, alone, strict=True)
        if len(a) == images
    )


def is_constant(answer: Array) -> bool:
    """Whether all images got the same answer (images, ...)."""
    return tolerated_difference(answer, np.repeat(answer[:1], len(answer), axis=0)) <= _SAME


def _moved(a: Array, b: Array, images: int) -> float:
    if a.shape[1:] == b.shape[1:] and images - 1 <= len(b) <= len(a) == images:
        return tolerated_difference(a[images + 1 - len(b) :], b[-2::-1])
    if a.shape == b.shape[1:]:  # as long as there were samples, by chance
        return tolerated_difference(a, b[0])
    if a.shape[1:] != b.shape[1:]:
        return np.inf
    pieces = min(len(a), len(b))
    return tolerated_difference(a[:pieces], b[:pieces])
