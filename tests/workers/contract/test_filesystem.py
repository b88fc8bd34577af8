from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs

from workers.contract import filesystem
from workers.contract.errors import StoreError, UserError


def test_a_published_file_is_read_back_and_listed(store):
    """Local folder and object storage behave alike: publish, replace, list, remove."""
    root = store.root
    filesystem.publish(root, "folder/name.txt", b"first")
    filesystem.publish(root, "folder/name.txt", b"second")
    filesystem.publish(root, "folder/below/other.txt", b"")
    assert filesystem.read(root, "folder/name.txt") == b"second"
    assert filesystem.read(root, "folder/below/other.txt") == b""
    assert filesystem.names(root, "folder") == ["folder/name.txt"]
    assert filesystem.names(root, "folder", recursive=True) == [
        "folder/below/other.txt",
        "folder/name.txt",
    ]
    filesystem.remove(root, "folder/name.txt")
    assert filesystem.names(root, "folder") == []


def test_what_is_not_there_is_no_fault(store):
    """A missing file reads as None, a missing folder lists as empty, removing twice is allowed."""
    assert filesystem.read(store.root, "no/file") is None
    assert filesystem.names(store.root, "no") == []
    filesystem.remove(store.root, "no/file")


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_file_removed_between_opening_and_reading(store, is_removed):
    """As a compaction does: it reads as None, and what is there and cannot be read is a fault."""
    filesystem.publish(store.root, "view/name", b"content")

    class Spoilt:
        """Object storage whose answer to a read is an error without a type."""

        def __init__(self, inner: fs.FileSystem) -> None:
            self._inner = inner

        def open_input_file(self, path: str) -> None:
            if is_removed:
                self._inner.delete_file(path)
            raise OSError("AWS Error RESOURCE_NOT_FOUND during GetObject operation")

        def get_file_info(self, path: str) -> fs.FileInfo:
            return self._inner.get_file_info(path)

    root = replace(store.root, filesystem=Spoilt(store.root.filesystem))
    if is_removed:
        assert filesystem.read(root, "view/name") is None
    else:
        with pytest.raises(StoreError, match="cannot read view/name"):
            filesystem.read(root, "view/name")


def test_several_megabytes_go_through_whole(store):
    """A file larger than one part of a multipart upload keeps its bytes."""
    content = os.urandom(1 << 20) * 12
    filesystem.publish(store.root, "models/big", content)
    assert filesystem.read(store.root, "models/big") == content


def test_an_interrupted_write_leaves_no_file(local_store, monkeypatch):
    """A kill between writing and renaming leaves nothing that readers list."""

    def fail(self, target):
        raise OSError(errno.EIO, "disk is gone")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StoreError, match=r"cannot write trials/a in the store .*disk is gone"):
        filesystem.publish(local_store.root, "trials/a", b"content")
    assert list((local_store.root.local / "trials").iterdir()) == []


def test_temporary_files_are_not_listed(local_store):
    """What a killed writer left behind has a dot name and is never read."""
    filesystem.publish(local_store.root, "trials/a", b"content")
    (local_store.root.local / "trials" / ".b.1234").write_bytes(b"half")
    assert filesystem.names(local_store.root, "trials") == ["trials/a"]


def test_every_new_folder_is_made_durable(local_store, monkeypatch):
    """The folders above a new file are synced too, else a power cut could lose the way to it."""
    synced = []
    monkeypatch.setattr(filesystem, "sync_folder", synced.append)
    filesystem.publish(local_store.root, "a/b/file", b"")
    root = local_store.root.local
    assert synced == [root.parent, root, root / "a", root / "a" / "b"]


def test_a_file_system_that_cannot_sync_folders_is_accepted(tmp_path, monkeypatch):
    """EINVAL from fsync of a folder means "not supported"; any other fault is told."""

    def fsync(error_number):
        def fail(descriptor):
            raise OSError(error_number, "fsync")

        return fail

    monkeypatch.setattr(os, "fsync", fsync(errno.EINVAL))
    filesystem.sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", fsync(errno.EIO))
    with pytest.raises(OSError, match="fsync"):
        filesystem.sync_folder(tmp_path)


def test_a_folder_read_as_a_file_is_a_fault(local_store):
    """Reading a folder says which path and store."""
    filesystem.publish(local_store.root, "folder/file", b"")
    with pytest.raises(StoreError, match="cannot read folder in the store"):
        filesystem.read(local_store.root, "folder")


def test_listing_below_a_file_is_a_fault_or_empty(tmp_path):
    """A root below a file lists as empty and refuses to be written."""
    (tmp_path / "file").write_text("")
    root = filesystem.open_root(str(tmp_path / "file" / "store"))
    with pytest.raises(StoreError, match="cannot write a in the store"):
        filesystem.publish(root, "a", b"")


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("", "the store's URI is empty"),
        ("  ", "the store's URI is empty"),
        ("ftp://host/path", "no store of kind 'ftp'"),
        ("file:///tmp/x", "no store of kind 'file'"),
        ("s3://user:word@bucket/prefix", "holds credentials"),
        ("s3://user@bucket/prefix", "holds credentials"),
        ("s3://bucket/prefix?secret_key=abc&region=x", "holds credentials"),
        ("s3://bucket/prefix?ACCESS_KEY=", "holds credentials"),
        ("s3:///prefix", "not a store's URI"),
        ("s3://[x/y", "not a store's URI"),
        ("s3://bucket/pre fix", "not a store's URI"),
        ("s3://bucket/prefix?colour=red", "cannot be opened"),
    ],
)
def test_a_bad_uri_is_refused(uri, what):
    """Every malformed URI is told with its cure, and a secret is never repeated in the message."""
    with pytest.raises(UserError, match=what) as caught:
        filesystem.open_root(uri)
    assert caught.value.faults[0].where == "--store"
    assert "word" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_opening_touches_nothing(tmp_path):
    """A store that does not exist is opened without being made."""
    root = filesystem.open_root(str(tmp_path / "none"))
    assert root.local == tmp_path / "none"
    assert not root.local.exists()


def test_a_local_uri_is_made_absolute(tmp_path, monkeypatch):
    """Every process gets the same place, whatever its working directory."""
    monkeypatch.chdir(tmp_path)
    assert filesystem.open_root("./store").uri == str(tmp_path / "store")


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("gs://bucket/prefix", "gs://bucket/prefix?retry_limit_seconds=15"),
        ("gs://bucket/p?scheme=http", "gs://bucket/p?scheme=http&retry_limit_seconds=15"),
        ("gs://bucket/p?retry_limit_seconds=40", "gs://bucket/p?retry_limit_seconds=40"),
        ("s3://bucket/prefix", "s3://bucket/prefix?allow_delayed_open=true"),
        ("s3://bucket/p?allow_delayed_open=false", "s3://bucket/p?allow_delayed_open=false"),
    ],
)
def test_google_gives_up_after_a_while_and_s3_takes_a_small_file_at_once(uri, asked):
    """Unless the URI says otherwise; it stays as it was written in every record."""
    assert filesystem._with_option(uri) == asked
    if uri.startswith("gs://"):
        assert filesystem.open_root(uri).uri == uri


def test_google_storage_out_of_reach_is_a_fault_of_the_store():
    """Nothing answers at the endpoint, or there are no credentials: no endless wait."""
    uri = "gs://anonymous@bucket/p?endpoint_override=localhost:9&scheme=http&retry_limit_seconds=1"
    root = filesystem.Root(uri, filesystem.fs.FileSystem.from_uri(uri)[0], None)
    with pytest.raises(StoreError, match="cannot list trials in the store gs://"):
        filesystem.names(root, "trials")


def test_folders_right_below_the_root_are_named(store):
    """On disk and in a bucket, deeper ones not; none where nothing is."""
    assert filesystem.folders(store.root) == []
    for path in ("b/x", "a/deeper/y", "file"):
        store.write_bytes(path, b"")
    assert filesystem.folders(store.root) == ["a", "b"]


def test_a_small_file_is_one_request_and_a_large_one_is_whole(s3_store, s3_requests):
    """An upload in parts took three; from 10 MB on Arrow sends parts, which are one file all the same."""
    filesystem.publish(s3_store.root, "trials/a.parquet", b"small")
    assert [(each.method, each.key) for each in s3_requests] == [("PUT", "trials/a.parquet")]
    large = bytes(11 * 2**20) + b"end"
    filesystem.publish(s3_store.root, "trials/b.parquet", large)
    assert filesystem.read(s3_store.root, "trials/a.parquet") == b"small"
    assert filesystem.read(s3_store.root, "trials/b.parquet") == large


def test_an_older_arrow_opens_object_storage_too(monkeypatch):
    """Arrow 20 refuses the option in a URI; region, endpoint and scheme are those of the URI either way."""
    uri = "s3://bucket/p?scheme=http&endpoint_override=127.0.0.1%3A9&region=eu-west-3"
    open_uri, asked = filesystem.fs.FileSystem.from_uri, []

    class Older:
        @staticmethod
        def from_uri(found):
            asked.append(found)
            if "allow_delayed_open" in found:
                raise filesystem.pa.ArrowInvalid("Unexpected query parameter in S3 URI")
            return open_uri(found)

    newer = filesystem.open_root(uri)
    monkeypatch.setattr(filesystem.fs, "FileSystem", Older)
    older = filesystem.open_root(uri)
    assert asked == [f"{uri}&allow_delayed_open=true", uri]
    options = [root.filesystem.base_fs.__reduce__()[1][0] for root in (newer, older)]
    assert [found.pop("allow_delayed_open") for found in options] == [True, False]
    assert options[0] == options[1]
    assert options[0] | {"region": "eu-west-3", "scheme": "http"} == options[0]
    assert options[0]["endpoint_override"] == "127.0.0.1:9"


def test_a_write_that_is_interrupted_leaves_no_half_file(monkeypatch):
    """Arrow publishes what an abandoned stream holds: half a record stood there under its final name."""

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(filesystem.fault_injection, "reach_write", interrupt)
    put = []

    class Stream:
        def write(self, content):
            put.append(content)

    class Storage:
        open_output_stream = staticmethod(lambda path: Stream())

    with pytest.raises(KeyboardInterrupt):
        filesystem._put(Storage(), "trials/a.parquet", b"whole")
    assert b"".join(put) == b"whole"
