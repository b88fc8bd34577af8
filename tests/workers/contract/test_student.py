"""Student's quantile and the confidence of every interval, which stand in one place."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from scipy import integrate

from workers.contract.student import CONFIDENCE, student_quantile

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("confidence", [0.5, CONFIDENCE, 0.999])
def test_few_degrees_have_a_closed_form(confidence):
    """tan(πc/2) for one degree, c·√(2/(1 - c²)) for two; to 1e-9, of numbers up to 640."""
    one, two = student_quantile(1, confidence), student_quantile(2, confidence)
    assert one == pytest.approx(math.tan(math.pi * confidence / 2), rel=1e-9)
    assert two == pytest.approx(confidence * math.sqrt(2 / (1 - confidence**2)), rel=1e-9)


@pytest.mark.parametrize("degrees", [3, 4.5, 63])
def test_the_density_integrates_to_the_confidence(degrees):
    """By quadrature of (1 + t²/ν)^(-(ν+1)/2)/(√ν·B(½, ν/2)), whose own error is below 1e-9."""
    scale = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2) / math.sqrt(math.pi * degrees)
    limit = student_quantile(degrees)
    share, _ = integrate.quad(
        lambda t: (1 + t * t / degrees) ** (-(degrees + 1) / 2), -limit, limit
    )
    assert scale * share == pytest.approx(CONFIDENCE, abs=1e-8)


def test_a_known_error_is_normal():
    """Infinite degrees: 1.959964 at 95 %, as tables have it."""
    assert student_quantile(math.inf) == pytest.approx(1.959964, abs=5e-7)


def test_confidence_and_quantile_are_written_once():
    """No other file of the packages sets a confidence, or asks for the quantile itself."""
    own = re.compile(r"\bt\.(ppf|isf)\(|^_?CONFIDENCE *=|\b1\.96\d*\b(?!\.)", re.MULTILINE)
    found = {
        str(path.relative_to(ROOT))
        for package in ("orchestrator", "workers", "analysis")
        for path in (ROOT / package).rglob("*.py")
        if own.search(re.sub(r'"""[\s\S]*?"""', "", path.read_text()))
    }
    assert found == {"workers/contract/student.py"}
