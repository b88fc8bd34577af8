from __future__ import annotations

import itertools

import pytest

from analysis.paper.ratio_groups import ratio_group
from orchestrator.planning.sweep import read_sweep


@pytest.mark.parametrize(
    ("first", "second", "group"),
    [
        (2500, 2500, "equal"),
        (200 / 0.2, 500 / 0.5, "equal"),
        (1000, 1250, "close"),
        (1250, 1000, "close"),
        (1000, 1500, "close"),
        (1000, 1501, "far"),
        (200, 6250, "far"),
    ],
)
def test_groups_are_equal_within_a_factor_and_beyond(first, second, group):
    """In either order, the factor 1.5 itself included; rounding of BS/LR makes no difference."""
    assert ratio_group(first, second) == group


def test_the_pairs_of_the_figures_fall_into_the_groups_their_comments_name():
    """paper-figures: two equal pairs, 1250 close to both cells at 1000, the rest far."""
    pairs = [(200, 0.08), (500, 0.2), (200, 0.2), (500, 0.5), (100, 0.08), (100, 0.5), (500, 0.08)]
    document, _ = read_sweep("paper-figures", [])
    assert sorted(map(tuple, document["pairs"])) == sorted(pairs)
    ratios = [size / rate for size, rate in pairs]
    found = [ratio_group(*both) for both in itertools.combinations(ratios, 2)]
    assert [found.count(group) for group in ("equal", "close", "far")] == [2, 2, 17]


def test_both_losses_of_the_figures_have_the_same_pairs():
    """All but the name and the loss is the same, and the loss is that of paper-gradlog."""
    kld, gradlog = (read_sweep(name, [])[0] for name in ("paper-figures", "paper-figures-gradlog"))
    second = read_sweep("paper-gradlog", [])[0]["loss"]
    assert gradlog == kld | {"name": "paper-figures-gradlog", "loss": second}
    assert kld["loss"] == "kld" != second
