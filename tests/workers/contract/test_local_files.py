from __future__ import annotations

import os

import pytest

from workers.contract import filesystem
from workers.contract.errors import UnreadableFile
from workers.contract.local_files import folders_in, marks_in, unreadable


@pytest.fixture
def odd(tmp_path):
    """A folder with one file, and with what is none."""
    (tmp_path / "view").mkdir()
    (tmp_path / "view/a.parquet").write_bytes(b"abc")
    (tmp_path / "view/b.parquet").mkdir()
    (tmp_path / "view/c.parquet").symlink_to("gone")
    (tmp_path / "view/d.parquet").symlink_to("d.parquet")
    (tmp_path / "view/e.txt").symlink_to("gone")
    os.mkfifo(tmp_path / "view/f.parquet")
    (tmp_path / "view" / os.fsdecode(b"g\xff.parquet")).write_bytes(b"")
    (tmp_path / "view/.hidden").write_bytes(b"")
    (tmp_path / "view/up").symlink_to("..")
    return tmp_path


def test_what_is_named_as_a_record_and_is_none_is_listed(odd):
    """That it may be told; a name that is not UTF-8 ends no listing, nor do links in a circle."""
    marks = marks_in(odd, "view", recursive=False)
    assert sorted(path.encode(errors="surrogateescape") for path in marks) == [
        b"view/a.parquet", b"view/b.parquet", b"view/c.parquet", b"view/d.parquet",
        b"view/f.parquet", b"view/g\xff.parquet",
    ]  # fmt: skip
    assert marks["view/a.parquet"].num_bytes == 3
    assert len(marks_in(odd, "view", recursive=True)) < 2 * len(marks)
    assert folders_in(odd) == ["view"]
    assert (marks_in(odd, "none", recursive=True), folders_in(odd / "none")) == ({}, [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("b.parquet", "it is a folder"),
        ("c.parquet", "it is a link that leads nowhere: No such file or directory"),
        ("d.parquet", "it is a link that leads nowhere: Too many levels of symbolic links"),
        ("f.parquet", "it is no file"),
        (os.fsdecode(b"g\xff.parquet"), "its name is not UTF-8"),
    ],
)
def test_what_can_never_be_read_is_refused_with_the_reason(odd, name, reason):
    """Before it is opened: a pipe would wait for ever."""
    assert unreadable(odd / "view" / name) == reason
    with pytest.raises(UnreadableFile, match=f": {reason}$"):
        filesystem.read(filesystem.open_root(str(odd)), f"view/{name}")
    assert unreadable(odd / "view/a.parquet") is None
    assert unreadable(odd / "view/none") is None


def test_a_folder_that_is_a_file_cannot_be_listed(odd):
    """It is not taken for an empty one."""
    with pytest.raises(NotADirectoryError):
        marks_in(odd, "view/a.parquet", recursive=False)


def test_the_root_itself_is_listed_by_paths_below_it(tmp_path):
    """An empty folder name is the root, not that of the machine."""
    (tmp_path / "view").mkdir()
    (tmp_path / "view/a.parquet").write_bytes(b"abc")
    (tmp_path / "plan.json").write_bytes(b"{}")
    assert set(marks_in(tmp_path, "", recursive=True)) == {"plan.json", "view/a.parquet"}
    assert set(marks_in(tmp_path, "", recursive=False)) == {"plan.json"}
