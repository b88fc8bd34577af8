"""Table 1 of the paper as printed, which is shown beside a sweep's own table.

Source: Luo, Wang and Fung (2020), "How Many Factors Influence Minima in SGD?", arXiv 2009.11858,
Table 1. ResNet-56 on CIFAR-10, Kullback-Leibler loss, averages of 5 runs, no errors given. The paper
does not say how its traces were estimated; their size suggests sums over N = 50,000 examples.

Errata, kept as printed: experiment number 4 appears twice and 3 is missing; the magnitude
difference of the row (100, 0.5) is cut off, 9.96 → 9.9, where all others are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

CITATION = (
    "Luo, Wang and Fung (2020), “How Many Factors Influence Minima in SGD?”, "
    "arXiv 2009.11858, Table 1"
)

ERRATA = (
    "Experiment number 4 is printed twice, 3 is missing.",
    "The magnitude difference of (100, 0.5) is cut off (9.96 printed as 9.9); the others are rounded.",
    "No standard deviations are given; “5 runs averaged”.",
)

NUM_TRAIN = 50_000
"""N of CIFAR-10 (Krizhevsky 2009), by which a sum over examples exceeds a mean."""


@dataclass(frozen=True)
class PaperRow:
    """One printed row.

    Attributes:
        experiment: Number as printed.
        batch_size_over_learning_rate: As printed.
        batch_size: m.
        learning_rate: Initial η.
        gradient_noise_trace: tr σ², in the paper's convention.
        hessian_trace: tr H, in the paper's convention.
        magnitude_difference: tr σ²/tr H as printed.
    """

    experiment: int
    batch_size_over_learning_rate: int
    batch_size: int
    learning_rate: float
    gradient_noise_trace: int
    hessian_trace: int
    magnitude_difference: float


ROWS = (
    PaperRow(1, 1250, 100, 0.08, 22_398_330, 9_528_207, 2.4),
    PaperRow(2, 500, 100, 0.2, 44_428_697, 5_501_901, 8.1),
    PaperRow(4, 200, 100, 0.5, 45_588_319, 4_575_870, 9.9),  # number and ratio as printed
    PaperRow(4, 2500, 200, 0.08, 31_897_024, 10_304_980, 3.1),
    PaperRow(5, 1000, 200, 0.2, 33_932_327, 4_084_640, 8.3),
    PaperRow(6, 400, 200, 0.5, 41_058_846, 3_486_877, 11.8),
    PaperRow(7, 6250, 500, 0.08, 63_343_355, 9_530_501, 6.6),
    PaperRow(8, 2500, 500, 0.2, 35_252_033, 4_261_116, 8.3),
    PaperRow(9, 1000, 500, 0.5, 54_212_278, 5_380_719, 10.1),
)


def paper_row(batch_size: int, learning_rate: float) -> PaperRow | None:
    """Return the printed row of a cell, if there is one."""
    for row in ROWS:
        if (row.batch_size, row.learning_rate) == (batch_size, learning_rate):
            return row
    return None
