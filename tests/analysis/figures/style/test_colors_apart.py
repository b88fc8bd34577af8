"""A colour means one thing: laws, cells, traces, references and verdicts are far apart, for every eye."""

from __future__ import annotations

import math
import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from analysis.figures.style.cell_styles import cell_panels
from analysis.laws.palette import CELL_COLORS, CURVATURE, GREY, NOISE
from analysis.predictions import laws
from analysis.records.cell import Cell
from analysis.report import web

LEAST = 16.0
"""CIEDE2000 between any two colours of the report; a trained eye tells 1 apart side by side, marks far apart need ten."""

LEAST_WITHOUT_GREEN = 9.0
"""Between two cells as deuteranopes see them: their world of colours has two dimensions, not three."""

_CSS = (Path(web.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
_LAWS = {law.name: law.color for law in laws().values()}
_VERDICTS = {
    f"{name} {scheme}": color
    for name in ("good", "bad", "open")
    for scheme, color in zip(
        ("light", "dark", "print"), re.findall(rf"--{name}: (#[0-9a-f]+)", _CSS), strict=True
    )
}
_GROUPS = {
    "laws": set(_LAWS.values()),
    "cells": set(CELL_COLORS),
    "traces": {NOISE, CURVATURE},
    "references": {GREY},
    "verdicts": {color.upper() for color in _VERDICTS.values()},
}

_DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
"""Linear sRGB to what is seen without the middle cones. Source: Machado, Oliveira and Fernandes 2009, severity 1."""

_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])
"""Linear sRGB to XYZ in units of the white D65."""


def _linear(color):
    channels = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _lab(linear):
    """Compute CIE L*a*b* of linear sRGB."""
    x, y, z = (
        v ** (1 / 3) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in _XYZ @ linear
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _ciede2000(one, other):
    """Compute the difference of two colours L*a*b*. Source: Sharma, Wu and Dalal 2005, equations 2-22."""
    (light1, a1, b1), (light2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * math.sqrt(mean**7 / (mean**7 + 25**7))
    chroma1, chroma2 = math.hypot(stretch * a1, b1), math.hypot(stretch * a2, b2)
    hue1, hue2 = (math.degrees(math.atan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (hue2 - hue1 + 180) % 360 - 180
    light, chroma, hue = (light1 + light2) / 2, (chroma1 + chroma2) / 2, hue1 + turn / 2

    def cosine(times, shift):
        return math.cos(math.radians(times * hue + shift))

    weight = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0) + 0.32 * cosine(3, 6) - 0.2 * cosine(4, -63)  # fmt: skip
    by_light = (light2 - light1) / (1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2))  # fmt: skip
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    by_hue = 2 * math.sqrt(chroma1 * chroma2) * math.sin(math.radians(turn / 2)) / (1 + 0.015 * chroma * weight)  # fmt: skip
    rotation = 30 * math.exp(-((((hue % 360) - 275) / 25) ** 2))
    cross = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * math.sin(math.radians(2 * rotation))
    return math.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + cross * by_chroma * by_hue)


def _apart(one, other):
    return _ciede2000(_lab(_linear(one)), _lab(_linear(other)))


def _apart_without_green(one, other):
    return _ciede2000(
        *(_lab(np.clip(_DEUTERANOPIA @ _linear(color), 0, 1)) for color in (one, other))
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((90.8027, -2.0831, 1.441), (91.1528, -1.6435, 0.0447), 1.4441),
    ],
)
def test_the_difference_is_ciede2000(one, other, expected):
    """Of the pairs that Sharma, Wu and Dalal print, to their four places."""
    assert _ciede2000(one, other) == pytest.approx(expected, abs=5e-5)


def test_the_colours_of_two_families_are_far_apart():
    """Laws, cells, traces, references, verdicts in light, dark and print: 16 at least.

    A cell was 12.4 from a law, 9.4 from what fails and 18 from nothing. What is undecided is grey as
    references are: both say that nothing is judged.
    """
    pairs = [
        (_apart(one, other), one, other)
        for first, second in combinations(_GROUPS.values(), 2)
        for one, other in product(first, second)
    ]
    undecided = {color.upper() for name, color in _VERDICTS.items() if name.startswith("open")}
    near = [
        each for each in pairs if each[0] < LEAST and not (each[1] == GREY and each[2] in undecided)
    ]
    assert near == []
    assert len({color for group in _GROUPS.values() for color in group}) == sum(map(len, _GROUPS.values()))  # fmt: skip


@pytest.mark.parametrize("group", ["laws", "cells", "traces"])
def test_the_colours_of_one_family_are_far_apart(group):
    """Eight cells; the laws of one panel, of which two of one target never share a colour."""
    assert min(_apart(*pair) for pair in combinations(_GROUPS[group], 2)) >= LEAST


def test_eight_cells_are_apart_without_green():
    """Two greens and browns were 2.9 apart for deuteranopes, and a panel of layers has no other sign."""
    assert len(set(CELL_COLORS)) == 8
    assert min(_apart_without_green(*pair) for pair in combinations(CELL_COLORS, 2)) >= LEAST_WITHOUT_GREEN  # fmt: skip


def test_laws_that_look_alike_without_green_have_marks_of_their_own():
    """Purple and sky blue, olive and vermillion: each law has its marker, and its dashes as a level."""
    found = list(laws().values())
    alike = [
        (one, other)
        for one, other in combinations(found, 2)
        if _apart_without_green(one.color, other.color) < LEAST_WITHOUT_GREEN
    ]
    assert alike
    assert all(one.marker != other.marker for one, other in alike)
    levels = [law.dashes for law in found if law.dashes]
    assert len(levels) == len(set(levels))


@pytest.mark.parametrize("count", [4, 9, 25, 60])
def test_the_cells_of_a_panel_are_apart_without_green(count):
    """By colour, or by marker where they have one colour."""
    sizes, rates = {4: (2, 2), 9: (3, 3), 25: (5, 5), 60: (10, 6)}[count]
    cells = [Cell("kld", 16 * 2**i, 0.01 * 2**j) for i in range(sizes) for j in range(rates)]
    for panel in cell_panels(cells):
        for one, other in combinations(panel.styles.values(), 2):
            is_apart = _apart_without_green(one.color, other.color) >= LEAST_WITHOUT_GREEN
            assert is_apart or one.marker != other.marker
