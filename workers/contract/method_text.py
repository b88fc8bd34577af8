"""What a method's name says of its size: made and read in this one file.

A column of texts is for readers. Records without a column for the size of batches, or of the subset of
examples, keep it at the end of `method`, and are read by it.
"""

from __future__ import annotations

import re

_BATCHES = re.compile(r"batch_(?:pairs|products)_(\d+)")
_SUBSET = re.compile(r"\w+_of_(\d+)_examples")


def method_of_batches(kind: str, batch_size: int) -> str:
    """Return the method of probing with batches of m examples: `batch_pairs_32`.

    Args:
        kind: `pairs` of batches, or `products` of Hessian and vector over one.
        batch_size: m.
    """
    return f"batch_{kind}_{batch_size}"


def batch_size_of(method: str) -> int | None:
    """Return m of a method of batches, as `method_of_batches` wrote it; None of any other."""
    found = _BATCHES.fullmatch(method)
    return None if found is None else int(found[1])


def method_of_subset(method: str, num_examples: int) -> str:
    """Return a method over a subset of n examples: `lanczos_of_512_examples`."""
    return f"{method}_of_{num_examples}_examples"


def subset_size_of(method: str) -> int | None:
    """Return n of a method over a subset, as `method_of_subset` wrote it; None of a whole split."""
    found = _SUBSET.fullmatch(method)
    return None if found is None else int(found[1])
