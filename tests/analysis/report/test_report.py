from __future__ import annotations

import html
import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from analysis.report.report import make_folder, write_report
from workers.contract.errors import UserError
from workers.contract.quantities import GLOSSARY
from workers.contract.store import Store
from workers.statistics.tail import TailSpec

COMMIT = "0123456789" * 4
_VOID = {"meta", "link", "br", "img", "hr", "input"}


class _Page(HTMLParser):
    """Collects what a browser would load, ids, and the balance of elements."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.loads, self.faults, self.links = [], [], [], [], []
        self.tags = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.add(tag)
        self.ids += [values["id"]] if "id" in values else []
        for name in ("src", "srcset", "data", "action", "background"):
            self.loads += [values[name]] if name in values else []
        for name in ("href", "xlink:href"):
            if name in values:
                (self.links if tag == "a" else self.loads).append(values[name])
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def report(report_of, sweep_in, environment_facts, folder):
    """Write the report of a sweep with a missing, a failed and a diverged seed."""
    store = Store.open(str(folder / "store"))
    sweep = sweep_in(store, name="paper_kld", pairs=[(100, 0.08), (200, 0.2)], seeds=[0, 1, 2, 3])
    sweep.plan()
    for number, trial in enumerate(sweep.trials()):
        if number == 0:
            sweep.fail(trial)
        elif number == 1:
            recorded = {"environment": environment_facts().for_record(), "code_commit": COMMIT}
            sweep.train(trial, outcome="diverged", environment_id="env-b", **recorded)
            sweep.measure(trial, skipped_reason="the trial diverged")
        elif number != 2:
            sweep.train(trial)
            sweep.measure(trial)
    return write_report(report_of(store, "paper_kld"), folder / "out")


def test_all_files_are_written(report, folder):
    """The page, the table in two formats, every figure in two and its numbers."""
    names = [str(path.relative_to(folder / "out")) for path in report]
    figures = ["learning_curves", "traces", "trace_ratio", "layers", "heat_maps"]
    assert names == ["report.html", "table1.csv", "table1.tex"] + [
        f"figures/{figure}.{ending}" for figure in figures for ending in ("svg", "pdf", "csv")
    ]
    assert all(path.stat().st_size > 0 for path in report)


def test_the_page_is_whole_and_needs_nothing_else(report):
    """Balanced elements, distinct ids, nothing loaded, one script of our own, allowed by its hash."""
    text = report[0].read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    page = _Page(text)
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    assert (page.open, page.faults) == ([], [])
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    images = [address for address in page.loads if address.startswith("data:image/png;base64,")]
    assert len(images) == 4  # the scales of the maps
    inner = [address for address in page.loads if address not in images]
    assert all(address.startswith("#") for address in inner)
    assert {address[1:] for address in inner} <= set(page.ids)
    assert page.tags.isdisjoint({"iframe", "object", "embed", "link", "img"})
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not re.search(r"\bon\w+=", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
        in text
    )
    assert "eval(" not in script
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    files = {f"figures/{path.name}" for path in report if path.parent.name == "figures"}
    assert {link for link in page.links if link.startswith("figures/")} == files
    rest = [link for link in page.links if not link.startswith(("#", "figures/"))]
    assert rest
    assert all(link.startswith("https://arxiv.org/abs/") for link in rest)
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_the_page_says_openly_what_is_lacking(report):
    """Missing, failed, diverged and mixed environments, and the failures themselves, escaped."""
    text = report[0].read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "1 of 2 cells is complete; seeds: 1 missing, 1 failed, 1 diverged." in text
    assert "BS 100, LR 0.08 is incomplete: 1 of 4 seeds missing, 1 of 4 seeds failed" in text
    assert "&lt;b&gt;out of memory&lt;/b&gt; &amp; gone" in text
    assert "BS 100, LR 0.08, seed 0" in text
    assert "env-a, env-b (mixed)" in text
    assert "1/4*" in text


def test_the_page_decodes_environments(report):
    """Versions and commit of the one that recorded them; the other one's hash is all there is."""
    text = report[0].read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    section = text[text.index('id="provenance"') :]
    assert "Trained in 2 environments; bits are promised within one." in section
    assert "Recorded by an earlier version, the hash alone: env-a." in section
    rows = {
        cells[0]: cells[1:]
        for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
        if len(cells := re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", row)) == 3
    }
    assert (rows["TensorFlow"], rows["commit"]) == (["–", "2.21.0"], ["–", COMMIT])


def test_the_page_holds_every_part(report):
    """Both conventions, the paper's numbers, laws with reasons, methods, sources."""
    text = report[0].read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "Table 1: traces, their ratio, and the excess loss that each law gives",
        "N·tr σ², paper",
        "22,398,330",
        "without weight decay the loss has no stationary state",
        "excess loss was not measured",
        "bn_mode frozen",
        "spread between independently trained networks",
        "Experiment number 4 is printed twice",
        "“Asymptotic Analysis via Stochastic Differential Equations of Gradient Descent Algorithms in "
        "Statistical and Computational Paradigms”, Eq 4.45; arXiv 1711.09514",
        "Generalisation gaps",
    ):
        assert part in text, part


def test_every_quantity_that_a_store_holds_is_in_its_page(
    store, synthetic_sweep, seen, report_of, tmp_path
):
    """Of the whole glossary: a row of a table begins with its symbol and holds its number, which no other has."""
    sweep = synthetic_sweep(pairs=[(100, 0.1)], seeds=[0, 1]).fill()
    numbers = {name: 1000 + 7 * place for place, name in enumerate(GLOSSARY)}
    sweep.add(TailSpec(), lambda seed: [seen(name, numbers[name]) for name in GLOSSARY])
    page, *_ = write_report(report_of(store, "toy"), tmp_path / "out")
    rows = re.findall(r"<tr>\s*<td[^>]*>(.*?)</td>(.*?)</tr>", page.read_text("utf-8"), re.DOTALL)
    shown = {
        (html.unescape(head).replace("\N{NO-BREAK SPACE}", " "), number)
        for head, rest in rows
        for number in re.findall(r'data-n="([^;"]*)', rest)
    }
    for name, quantity in GLOSSARY.items():
        assert (quantity.symbol, str(numbers[name])) in shown, name


def test_a_plan_alone_has_a_report(store, report_of, synthetic_sweep, tmp_path):
    """Before the first trial is done the page says that nothing is measured."""
    synthetic_sweep().plan()
    paths = write_report(report_of(store, "toy"), tmp_path / "out")
    text = paths[0].read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert len(paths) == 3
    assert "0 of 2 cells are complete; seeds: 6 missing." in text
    assert "Nothing of this is measured yet." in text
    assert "Nothing is measured yet" in text
    assert "Failures" not in text  # nothing empty is shown
    assert _Page(text).faults == []


def test_the_store_is_only_read(report, folder):
    """A report derives everything anew and writes nothing back."""
    store = Store.open(str(folder / "store"))
    assert {path.split("/")[0] for path in store.names("", recursive=True)} == {
        "sweeps", "trials", "epochs", "measurements", "failures"
    }  # fmt: skip


def test_a_folder_that_cannot_be_written_is_bad_input(store, report_of, synthetic_sweep, tmp_path):
    """The message names the option."""
    synthetic_sweep().plan()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the report cannot be written") as caught:
        write_report(report_of(store, "toy"), tmp_path / "file")
    assert caught.value.faults[0].where == f"--out {tmp_path / 'file'}"


def test_the_folder_is_asked_for_before_anything_is_computed(tmp_path):
    """By the command; what stands in its place is kept."""
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(UserError, match="the report cannot be written") as caught:
            make_folder(folder)
        assert caught.value.faults[0].where == f"--out {folder}"
    make_folder(tmp_path / "new" / "inner")
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "new" / "inner").is_dir()
