"""What a method's name says of its size is read as it was written, and nothing else is."""

from __future__ import annotations

import pytest

from workers.contract.method_text import (
    batch_size_of,
    method_of_batches,
    method_of_subset,
    subset_size_of,
)


@pytest.mark.parametrize("size", [1, 2, 32, 50_000])
def test_what_is_written_is_read(size):
    """There and back, of every kind; neither reader takes the other's text."""
    for kind in ("pairs", "products"):
        method = method_of_batches(kind, size)
        assert (batch_size_of(method), subset_size_of(method)) == (size, None)
    method = method_of_subset("rademacher_probes", size)
    assert (batch_size_of(method), subset_size_of(method)) == (None, size)


def test_stored_texts_are_read():
    """As records have had them from the first numerics version on."""
    assert batch_size_of("batch_pairs_16") == batch_size_of("batch_products_16") == 16
    assert subset_size_of("lanczos_quadrature_of_12_examples") == 12


@pytest.mark.parametrize(
    "method",
    [
        "exact",
        "streams",
        "deflated_probes_8",
        "gauss_newton_rademacher_4",
        "batch_pairs_",
        "skipped",
    ],
)
def test_other_numbers_are_no_sizes(method):
    """Eight deflated directions are no batches of eight, although the text ends alike."""
    assert batch_size_of(method) is None
    assert subset_size_of(method) is None
