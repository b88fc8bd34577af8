"""Every colour of what is drawn: one means one thing in the whole report, in the light and in the dark.

All stand out from white paper and from the dark page alike, at least 3:1, so that none changes with it.
"""

from __future__ import annotations

BLUE, GREEN, VERMILLION = "#0072B2", "#009E73", "#D55E00"
"""Of laws, from the palette of Okabe and Ito (2008), whose other colours are too pale for white paper."""

SKY, PURPLE, OLIVE, WINE = "#648DF6", "#B768D1", "#8B7B00", "#A6447B"
"""Of laws."""

NOISE, CURVATURE = "#079DC9", "#BC353A"
"""Of tr σ² and tr H, and of what is weighted by noise and by curvature."""

CELL_COLORS = (
    "#7B31F8", "#686089", "#32736D", "#486F1E", "#50A803", "#B08D69", "#A77678", "#FF519E",
)  # fmt: skip
"""Of cells, in the order of BS/LR, from violet over green to pink; apart for eyes without red or green too."""

GREY = "#777777"
"""What is no datum: references and margins."""
