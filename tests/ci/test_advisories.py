"""`.ci/advisories` holds the locks against advisories, on an index served here."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "advisories"
RAY = re.search(r"^ray==(\S+)", (ROOT / "deploy" / "requirements.lock").read_text(), re.M)[1]
ADVISORY = {
    "id": "PYSEC-1",
    "aliases": ["CVE-1"],
    "fixed_in": ["99.1"],
    "link": "https://example.org/PYSEC-1",
    "withdrawn": None,
}


@pytest.fixture
def index():
    """Serve an index; what it answers, by path, is a dictionary: all else has no advisory."""
    answers: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers.get(self.path, answers.get("else", {"vulnerabilities": []}))
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}", answers, asked
        server.shutdown()


@pytest.fixture
def check(monkeypatch, capsys):
    """Run the script on indexes: its code, and what it printed."""
    loader = importlib.machinery.SourceFileLoader("advisories", str(SCRIPT))
    script = importlib.util.module_from_spec(importlib.util.spec_from_loader("advisories", loader))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(script)

    def run(*indexes: str, accepted: dict[str, str] | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(script, "ACCEPTED", accepted or {})
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *indexes])
        code = script.main()
        return code, *capsys.readouterr()

    run.script = script
    return run


@pytest.fixture
def three(check, monkeypatch):
    """Let the locks hold three packages, which takes no second to ask for."""
    pins = [pin for pin in check.script.locked() if pin[0] in {"absl-py", "numpy", "ray"}]
    monkeypatch.setattr(check.script, "locked", lambda: pins)


def test_every_version_of_the_locks_is_looked_up(check):
    """Once, `torch==…+cpu` as its release."""
    lines = [
        line
        for path in (ROOT / "deploy").glob("*.lock")
        for line in path.read_text().splitlines()
        if "==" in line.split(";")[0]
    ]
    pins = check.script.locked()
    assert len(set(pins)) == len(pins)
    assert {name for name, _ in pins} == {re.split(r"[\[=]", line)[0] for line in lines}
    assert ("ray", RAY) in pins
    assert not [version for _, version in pins if "+" in version]


def test_versions_without_advisory_pass(three, index, check):
    """Each is asked for; the first once more, to see whether the index answers at all."""
    url, _, asked = index
    pins = check.script.locked()
    code, out, err = check(url)
    assert (code, err) == (0, "")
    assert out == f"{len(pins)} of {len(pins)} locked versions checked, 0 to mend\n"
    assert set(asked) == {f"/{name}/{version}/json" for name, version in pins}


def test_a_known_advisory_fails_with_its_cure(three, index, check):
    """Named with all its ids."""
    url, answers, _ = index
    answers[f"/ray/{RAY}/json"] = {"vulnerabilities": [ADVISORY]}
    code, out, _ = check(url)
    assert code == 1
    assert out.startswith(
        f"ray {RAY} has PYSEC-1 = CVE-1, https://example.org/PYSEC-1\n"
        "  mended in 99.1: run deploy/lock\n"
    )
    assert out.endswith("1 to mend\n")


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_an_accepted_one_is_told_with_the_reason(three, index, check, name):
    """By its id or an alias."""
    url, answers, _ = index
    answers[f"/ray/{RAY}/json"] = {"vulnerabilities": [ADVISORY]}
    code, out, _ = check(url, accepted={name: "it is about a part we leave out"})
    assert code == 0
    assert "\n  accepted: it is about a part we leave out\n" in out


def test_a_withdrawn_one_is_none(three, index, check):
    """Its date stands in the field."""
    url, answers, _ = index
    withdrawn = ADVISORY | {"withdrawn": "2026-01-01T00:00:00Z"}
    answers[f"/ray/{RAY}/json"] = {"vulnerabilities": [withdrawn]}
    assert check(url)[0] == 0


@pytest.mark.parametrize("answer", [None, {}, [], {"vulnerabilities": None}])
def test_an_index_that_tells_no_advisories_is_asked_once_and_told_loudly(
    three, index, check, answer
):
    """A mirror often has no such pages: that is not the same as no advisory."""
    url, answers, asked = index
    answers["else"] = answer
    code, out, err = check(url)
    assert (code, out, len(asked)) == (0, "", 1)
    assert err == "!!! advisories not checked: no index with advisories is in reach !!!\n"


def test_an_index_out_of_reach_is_passed_over(three, index, check):
    """Nobody listens on port 1; the next one is asked."""
    url, _, _ = index
    assert "advisories not checked" in check("http://127.0.0.1:1")[2]
    assert check("http://127.0.0.1:1", url)[1].endswith(" 0 to mend\n")


def test_a_version_the_index_does_not_know_is_named(three, index, check):
    """The others are checked."""
    url, answers, _ = index
    answers[f"/ray/{RAY}/json"] = None
    code, out, err = check(url)
    assert (code, err) == (
        0,
        f"!!! advisories not checked: {url} does not know ray {RAY} !!!\n",
    )
    assert " locked versions checked, 0 to mend\n" in out


def test_pips_own_index_is_asked_before_pypi(check, monkeypatch):
    """As its address says where the packages are."""
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example.org/simple/")
    assert check.script.indexes() == ["https://mirror.example.org/pypi", "https://pypi.org/pypi"]
    monkeypatch.delenv("PIP_INDEX_URL")
    assert check.script.indexes() == ["https://pypi.org/pypi"]
