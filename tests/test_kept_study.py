"""The study that the README tells of is kept beside it: small, without models, whole, and the report is its own."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.contract.schema import VIEWS

ROOT = Path(__file__).parent.parent
STUDY, SWEEPS = ROOT / ".study", ("paper-kld-small", "paper-gradlog-small")
TABLES = [f"{sweep}/table1.{ending}" for sweep in SWEEPS for ending in ("csv", "tex")]
MOST_BYTES = 3_000_000
FINDING = re.compile(r'<li class="finding">.*?</li>', re.DOTALL)


def minima(*arguments: str) -> str:
    """Run a command in a process of its own, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_store_is_merged_and_has_no_models():
    """Records, plans and conclusions alone, one file of trials, of epochs, of measurements, of spectra."""
    folders = {path.name for path in (STUDY / "store").iterdir()}
    assert folders <= {*VIEWS, "sweeps", "conclusions"}
    for view in ("trials", "epochs", "measurements", "spectra"):
        (name,) = (path.name for path in (STUDY / "store" / view).iterdir())
        assert re.fullmatch(r"compacted-.*\.parquet", name)


def test_it_is_small():
    """Under 3 MB, the report and the figures that the README shows included; other figures are not kept."""
    figures = [f"{sweep}/figures/parity.svg" for sweep in SWEEPS]
    report = [STUDY / "report" / name for name in ("report.html", *TABLES, *figures)]
    kept = [*(STUDY / "store").rglob("*"), *report]
    assert sum(path.stat().st_size for path in kept if path.is_file()) < MOST_BYTES


def test_nothing_is_missing_in_it():
    """Five seeds of nine cells with each loss; every statistic of each seed that it was asked for."""
    counts = minima(
        "query",
        "SELECT sweep, count(*) AS cells, sum(num_seeds) AS seeds, sum(num_missing) AS missing, "
        "sum(num_failed + num_diverged) AS lost FROM cells GROUP BY sweep ORDER BY sweep DESC",
        "--store", str(STUDY / "store"), "--format", "csv",
    )  # fmt: skip
    assert counts.split() == [
        "sweep,cells,seeds,missing,lost",
        *(f"{sweep},9,45,0,0" for sweep in SWEEPS),
    ]


@pytest.fixture(scope="module")
def report_again(tmp_path_factory) -> Path:
    """Make the report by the README's command, elsewhere: other code averages anew first."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(STUDY / "store", folder / "store")
    minima("report", *SWEEPS, "--store", str(folder / "store"), "--out", str(folder / "report"))
    return folder / "report"


def test_the_report_is_made_of_the_store(report_again):
    """Table 1 to the last digit, and what the first screen says of each law."""
    for name in TABLES:
        assert (report_again / name).read_text() == (STUDY / "report" / name).read_text()
    kept, again = (
        FINDING.findall((folder / "report.html").read_text())
        for folder in (STUDY / "report", report_again)
    )
    assert kept
    assert again == kept


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (
            "7 seeds each (5.12 core-hours) would show `finite_time_drift` to fail",
            "7 seeds each would decide it (5.12 core-hours)",
        ),
        (
            "if it stays at 1.54 [0.855, 2.76] and cells differ by errors alone",
            "1.54 [0.855, 2.76]",
        ),
        (
            "more would not let `finite_time` hold, as one cell fails",
            "more seeds would not make it hold, as in one cell it fails",
        ),
        ("no number at hand, as both stand at 1.10", "1.10 [0.969, 1.25]"),
        (
            "by ranks the report has it hold, p = 0.047",
            "Spearman's ρ = −0.69 over 9 cells, p = 0.047",
        ),
        (
            "on the edge",
            "so near the edge of ± 10 % that no number of seeds at hand would decide it",
        ),
    ],
)
def test_what_would_decide_the_laws_is_what_the_report_says(told, found):
    """The README has it from the first screen, beside which no query stands."""
    page = re.sub(r"<[^>]*>", "", (STUDY / "report" / "report.html").read_text())
    assert told in (ROOT / "README.md").read_text()
    assert found in html.unescape(page).replace("\N{NO-BREAK SPACE}", " ")
