"""The commit of the running code is told by files alone, and its absence is no fault."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from workers.contract.distribution import installed_version
from workers.process import code_origin
from workers.process.code_digest import HOME
from workers.process.code_origin import (
    commit_of_checkout,
    commit_of_installation,
    running_origin,
)

COMMIT, OTHER = "0123456789" * 4, "a" * 40
IDENTITY = {"HOME": "/nowhere", "PATH": "/usr/bin:/bin"} | {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "a"), ("EMAIL", "a@example.org"))
}


def git(folder: Path, *arguments: str) -> str:
    """Run git itself, the independent route."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=IDENTITY, check=True, capture_output=True, text=True)  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    if shutil.which("git", path=IDENTITY["PATH"]) is None:
        pytest.skip("there is no git to compare with")
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")
    return folder


def test_it_is_the_commit_that_git_tells(checkout):
    """On a branch, with packed branches, detached, and in a worktree, before and after its own commit."""
    first = git(checkout, "rev-parse", "HEAD")
    assert commit_of_checkout(checkout) == first
    git(checkout, "tag", "--annotate", "v1", "--message", "v1")
    git(checkout, "pack-refs", "--all")
    assert commit_of_checkout(checkout) == first
    worktree = checkout.parent / "worktree"
    git(checkout, "worktree", "add", "--quiet", str(worktree))
    assert commit_of_checkout(worktree) == first
    git(worktree, "commit", "--quiet", "--allow-empty", "--message", "second")
    second = git(worktree, "rev-parse", "HEAD")
    assert commit_of_checkout(worktree) == second != first
    git(checkout, "checkout", "--quiet", "--detach", second)
    assert commit_of_checkout(checkout) == second


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, None),
        ({"HEAD": COMMIT}, COMMIT),
        ({"HEAD": "ref: refs/heads/main"}, None),
        ({"HEAD": "ref: refs/heads/main", "packed-refs": f"{OTHER} refs/heads/mainly"}, None),
        ({"HEAD": "ref: ../../../../etc/passwd"}, None),
        ({"HEAD": "damaged"}, None),
        ({"HEAD": b"\xff"}, None),
    ],
)
def test_a_folder_that_does_not_tell_is_no_fault(tmp_path, content, found):
    """No repository, one without a commit, another branch of a longer name, a damaged one."""
    for name, text in content.items():
        (tmp_path / ".git").mkdir(exist_ok=True)
        (tmp_path / ".git" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert commit_of_checkout(tmp_path) == found


def test_a_repository_further_up_is_not_ours(checkout):
    """As where we are installed into a virtual environment inside somebody's project."""
    inside = checkout / "site-packages"
    inside.mkdir()
    assert commit_of_checkout(inside) is None


@pytest.mark.parametrize(
    ("noted", "found"),
    [
        ({"url": "https://ann:secret@example.org/x", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}, COMMIT),
        ({"url": "https://example.org", "vcs_info": {"vcs": "git", "commit_id": "secret"}}, None),
        ({"url": "file:///home/ann/x", "dir_info": {"editable": True}}, None),
        ([], None),
        (None, None),
    ],
)  # fmt: skip
def test_an_installation_from_a_repository_notes_its_commit(tmp_path, monkeypatch, noted, found):
    """And where it came from, which is not looked at; only of the folder that the code runs from."""
    metadata = tmp_path / "sgd_minima-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sgd-minima\nVersion: 1\n")
    if noted is not None:
        (metadata / "direct_url.json").write_text(json.dumps(noted))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert commit_of_installation(tmp_path) == found
    assert commit_of_installation(tmp_path / "elsewhere") is None


def test_a_process_keeps_what_it_found_first(monkeypatch):
    """Of the folder the code lies in; a checkout that moves on meanwhile changes nothing."""
    running_origin.cache_clear()
    first = running_origin()
    commit = commit_of_checkout(HOME) or commit_of_installation(HOME)
    assert first.code_commit == commit
    assert first.code_version == installed_version()
    assert first.python_version == platform.python_version()
    monkeypatch.setattr(code_origin, "commit_of_checkout", lambda home: OTHER)
    assert running_origin() is first
