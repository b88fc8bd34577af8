"""Table 1 as files: CSV with every number in full, LaTeX (booktabs) for a paper."""

from __future__ import annotations

import csv
import io
import math
import re

from analysis.findings.table1 import Table1, Table1Row, law_columns
from analysis.mathematics.uncertain import Uncertain
from analysis.tables.table1_text import text_tables
from analysis.text.text_table import TextTable

_LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "σ²": r"$\sigma^2$", "η": r"$\eta$", "·": r"$\cdot$", "×": r"$\times$",
    "–": "--", "“": "``", "”": "''", "−": "$-$",
}  # fmt: skip
_POWER = re.compile("×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def to_csv(table: Table1) -> str:
    """Return CSV with every number in full, in both conventions, errors in separate columns."""
    rows = rows_in_full(table)
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()


def rows_in_full(table: Table1) -> list[dict[str, object]]:
    """Return every number in full by column: means and errors, per example and (`_sum`) × N."""
    return [_csv_row(row) for row in table.rows]


def to_latex(table: Table1) -> str:
    """Return the parts of Table 1 as floats for LaTeX, which need the package booktabs."""
    parts = [_latex_part(part) for part in text_tables(table)]
    return "% \\usepackage{booktabs}\n\n" + "\n".join(parts)


def _csv_row(row: Table1Row) -> dict[str, object]:
    estimates = {
        **row.traces,
        **{column.name: column.of(row) for column in law_columns()},
    }
    numbers = dict(_mean_and_stderr("magnitude_difference", row.magnitude_difference))
    for name, estimate in estimates.items():
        numbers |= _mean_and_stderr(name, estimate)
    for name, estimate in estimates.items():
        numbers |= _mean_and_stderr(f"{name}_sum", row.summed(estimate))
    paper = row.paper
    return {
        "batch_size_over_learning_rate": row.cell.batch_size_over_learning_rate,
        "batch_size": row.cell.batch_size,
        "learning_rate": row.cell.learning_rate,
        "final_learning_rate": row.state.final_learning_rate,
        "loss": row.cell.loss,
        "num_train": row.state.num_train,
        "num_seeds": row.state.num_seeds,
        "num_measured": row.num_measured,
        "complete": row.state.is_complete,
        **numbers,
        "paper_gradient_noise_trace_sum": paper.gradient_noise_trace if paper else None,
        "paper_hessian_trace_sum": paper.hessian_trace if paper else None,
        "paper_magnitude_difference": paper.magnitude_difference if paper else None,
    }


def _mean_and_stderr(name: str, estimate: Uncertain) -> dict[str, float | None]:
    return {
        f"{name}_mean": estimate.value if math.isfinite(estimate.value) else None,
        f"{name}_stderr": estimate.stderr if math.isfinite(estimate.stderr) else None,
    }


def _latex_part(part: TextTable) -> str:
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_latex(' '.join([part.title + '.', *part.notes]))}}}",
        rf"  \begin{{tabular}}{{{'r' * len(part.columns)}}}",
        r"    \toprule",
        f"    {_latex_row(part.columns)}",
        r"    \midrule",
        *(f"    {_latex_row(row)}" for row in part.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_row(texts: tuple[str, ...]) -> str:
    return " & ".join(_latex(text) for text in texts) + r" \\"


def _latex(text: str) -> str:
    text = _POWER.sub(lambda found: f"\1{found[1].translate(_DIGITS)}\2", text)
    text = text.replace("σ²", "\0")
    escaped = "".join(_LATEX.get(character, character) for character in text)
    escaped = escaped.replace("\1", r"$\times10^{").replace("\2", "}$")
    return escaped.replace("\0", _LATEX["σ²"])
