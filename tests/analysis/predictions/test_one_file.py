"""A law is one file: put into the folder of the laws, it is computed, drawn and listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

TOY_LAW = '''
"""A law that is wrong by a factor of three."""

from analysis.laws.law import Law, Citation
from analysis.laws.trace_law import TraceFormula, trace_prediction

FORMULA = TraceFormula("gradient_noise_trace", lambda rate, size: 3 * rate / (4 * size), "3·toy")


def predict(conditions):
    """Predict 3·(η/4m)·tr σ²."""
    return trace_prediction("excess_loss", FORMULA, conditions, assumed=())


LAW = Law(
    name="toy_law", place=15, predict=predict, targets=("excess_loss",), windows="longest",
    sampler="replacement", color="#123456", marker="*", dashes="-.", formula=FORMULA,
    source=Citation("Toy (2026), Eq 1", "https://example.org/toy"),
)
'''

ASK = """
import json, sys
from analysis.aggregation.aggregate import aggregate_records
from analysis.figures.fork_figure import fork_figure
from analysis.figures.parity_figure import parity_figure
from analysis.findings.table1 import build_table1
from analysis.records.load import load_sweep
from analysis.report.law_section import law_section
from analysis.report.report import laws_of
from analysis.report.web.render import render_section
from analysis.report.words import sources
from analysis.tables.report_tables import prediction_table
from analysis.tables.table1_files import rows_in_full
from analysis.tables.table1_text import text_tables
from workers.contract.store import Store

data = load_sweep(Store.open(sys.argv[1]), "toy")
derived, table1 = aggregate_records(data), build_table1(data)
found = laws_of(data, table1, derived)
(marks,) = [bars.lines[0] for bars in parity_figure(found.rows).axes[0].containers
            if bars.get_label() == "toy_law"]
(level,) = [line for line in fork_figure(found.rows).axes[0].get_lines()
            if line.get_label() == "toy_law"]
print(json.dumps({
    "order": list(dict.fromkeys(derived.predictions["prediction"].to_pylist())),
    "rows": [row for row in derived.predictions.to_pylist()
             if row["prediction"] in ("toy_law", "wang_4_45")],
    "drawn": [marks.get_color(), marks.get_marker()],
    "level": [level.get_color(), level.get_linestyle(), level.get_ydata()[0]],
    "league": [item.prediction for item in found.standings],
    "table1": rows_in_full(table1)[0]["toy_law_final_mean"],
    "heads": text_tables(table1)[2].columns,
    "section": render_section(law_section(found, {})),
    "reasons": [row[0] for row in prediction_table(derived.predictions).rows],
    "sources": sources(),
}))
"""


@pytest.fixture
def answer(forked_sweep, tmp_path, copy_packages):
    """Make a copy of the packages with the toy law in it conclude about a sweep of one cell."""
    sweep = forked_sweep(pairs=[(50, 0.1)], seeds=[0, 1]).fill()
    home = copy_packages(tmp_path / "copy")
    (home / "analysis" / "predictions" / "toy_law.py").write_text(TOY_LAW)
    said = subprocess.run(
        [sys.executable, "-c", ASK, sweep.store.uri],
        env=os.environ | {"PYTHONPATH": str(home)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def test_a_law_is_added_by_one_file(answer):
    """View, league, both figures, Table 1, the report's sections and its sources have it, each where it declares itself."""
    assert answer["order"].index("toy_law") == answer["order"].index("wang_4_45") + 1
    of = {row["prediction"]: row for row in answer["rows"]}
    assert of["toy_law"]["predicted"] == pytest.approx(3 * of["wang_4_45"]["predicted"])
    assert of["toy_law"]["measured"] == of["wang_4_45"]["measured"] > 0
    assert answer["drawn"] == ["#123456", "*"]
    assert answer["level"] == ["#123456", "-.", pytest.approx(of["toy_law"]["predicted"])]
    assert answer["league"].count("toy_law") == 1
    # Table 1 has the data objective and the law the total one, of which L2 leaves tr σ² as it is.
    assert answer["table1"] == pytest.approx(of["toy_law"]["predicted"])
    assert any(head.startswith("3·toy, initial η") for head in answer["heads"])
    assert answer["section"].count("toy_law") > 1
    assert answer["reasons"].count("toy_law") == 1
    assert ["Toy (2026), Eq 1", "https://example.org/toy"] in answer["sources"]
