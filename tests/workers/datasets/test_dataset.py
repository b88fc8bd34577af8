"""The digest of a data set is over content, type, shape and order."""

import numpy as np

from workers.datasets.dataset import Split, digest_of, one_hot


def split(inputs) -> Split:
    inputs = np.asarray(inputs)
    return Split(inputs, np.ones((len(inputs), 1), np.float32))


def test_the_digest_sees_value_order_type_shape_and_border():
    """Six data sets that differ in one respect each have six digests."""
    rows = np.arange(4, dtype=np.uint8).reshape(4, 1)
    pairs = [
        (split(rows), split(rows)),
        (split(rows[::-1]), split(rows)),
        (split(rows + np.uint8(1)), split(rows)),
        (split(rows.astype(np.float32)), split(rows)),
        (split(rows[..., np.newaxis]), split(rows)),
        (split(rows[:3]), split(np.concatenate([rows[3:], rows]))),
    ]
    assert len({digest_of(*pair) for pair in pairs}) == 6


def test_the_digest_is_pinned():
    """It is part of every trial's identity, so it never changes for the same data."""
    rows = np.arange(4, dtype=np.uint8).reshape(4, 1)
    assert digest_of(split(rows), split(rows)) == "5b6ad77255d6ddfa575eb1376f9c0070"


def test_one_hot_rows():
    """Label c is row c of the identity matrix."""
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
