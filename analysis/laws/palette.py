"""Colours that colour-blind readers can tell apart."""

from __future__ import annotations

BLUE, SKY, GREEN, VERMILLION = "#0072B2", "#56B4E9", "#009E73", "#D55E00"
PURPLE, ORANGE = "#CC79A7", "#E69F00"
"""From the palette of Okabe and Ito (2008)."""

WINE = "#882255"
"""From the palette "muted" of Tol (2021); the yellow left in the other one is too pale for lines on white."""

GREY = "#777777"
"""What is no datum: references and margins."""
