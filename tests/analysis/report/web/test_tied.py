"""Lines of the page break between words, not within a number."""

from __future__ import annotations

import pytest

from analysis.report.web.tied import SPACE, tied


@pytest.mark.parametrize(
    ("text", "unbroken"),
    [
        ("predicts 28 % less than", ["28 %"]),
        ("within ± 10 % of 1", ["± 10 %"]),
        ("tr H is 1.38 ± 0.05 here", ["1.38 ± 0.05"]),
        ("(2.00 ± 0.10)×10⁻⁵ or 1.2 ± ?", ["(2.00 ± 0.10)×10⁻⁵", "1.2 ± ?"]),
        ("measured: 0.0939 [0.0912, 0.0967], so", ["0.0939 [0.0912, 0.0967],"]),
        ("a slope of −0.2 [−0.5, −1.2×10⁻³]", ["−0.2 [−0.5, −1.2×10⁻³]"]),
        ("9 cells, 3 seeds each", ["9 cells,", "3 seeds"]),
        ("Wang 2019, Eq 4.45 and Theorem 1", ["Eq 4.45", "Theorem 1"]),
        ("BS 100, LR 0.1, η = 0.01", ["BS 100,", "LR 0.1,", "η = 0.01"]),
        ("its assumption that σ² = H, here", ["σ² = H,"]),
        ("0.09 core-hours (0.09 of training", ["0.09 core-hours"]),
        ("no number is in this sentence", []),
    ],
)
def test_numbers_stay_with_what_belongs_to_them(text, unbroken):
    """Nothing but spaces is changed, and those alone within a number and before its unit."""
    found = tied(text)
    assert found.replace(SPACE, " ") == text
    parts = found.split(" ")
    assert [part.replace(SPACE, " ") for part in parts if SPACE in part] == unbroken
