"""Bytes under a root: a local or shared folder, or object storage, by the same calls.

A file is either wholly there or not there: locally a dot-named temporary file is written, flushed
to disk and renamed; on object storage one put carries the complete bytes.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
from pyarrow import fs

from workers.contract import fault_injection
from workers.contract.errors import StoreError, UnreadableFile, user_error
from workers.contract.local_files import Mark, folders_in, marks_in, names_in, unreadable
from workers.contract.local_folder import local_folder

_SECRET = re.compile(r"key|secret|token|password|credential|signature", re.IGNORECASE)

_OPTIONS = {"gs": ("retry_limit_seconds", "15"), "s3": ("allow_delayed_open", "true")}
"""What a scheme's client is told unless the URI says otherwise. By itself Google's looks for credentials
for a quarter of an hour, and S3's sends each small file as a multipart upload: three requests."""

_MEND = "give a local path, or s3://bucket/prefix or gs://bucket/prefix"


@dataclass(frozen=True)
class Root:
    """A place for files, named by a URI.

    Attributes:
        uri: As every process of a sweep is told it: an absolute path, or s3:// or gs://.
        filesystem: Rooted there; paths given to the functions below are relative, with "/".
        local: The folder, when it is one.
    """

    uri: str
    filesystem: fs.FileSystem
    local: Path | None


def open_root(uri: str) -> Root:
    """Open a root without touching it.

    Raises:
        UserError: The URI is malformed, of an unknown scheme, or carries credentials; or no local
            folder can have the path.
    """
    if not uri.strip():
        raise user_error("the store's URI is empty", where="--store", mend=_MEND)
    if "\0" in uri:
        raise user_error(
            f"the store's URI holds a zero byte: {uri[:60]!r}", where="--store", mend=_MEND
        )
    if "://" not in uri:
        folder = local_folder(uri, "--store")
        subtree = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        return Root(str(folder), subtree, folder)
    _refuse_bad_uri(uri)
    try:
        found, path = _from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise user_error(
            f"the store {uri} cannot be opened: {error}", where="--store", mend=_MEND
        ) from error
    return Root(uri, fs.SubTreeFileSystem(path, found), None)


def _from_uri(uri: str) -> tuple[fs.FileSystem, str]:
    with suppress(pa.ArrowInvalid):  # of S3, Arrow 20 does not read the option from a URI
        return fs.FileSystem.from_uri(_with_option(uri))
    return fs.FileSystem.from_uri(uri)


def _with_option(uri: str) -> str:
    parts = urlsplit(uri)
    name, value = _OPTIONS[parts.scheme]
    if name in dict(parse_qsl(parts.query)):
        return uri
    return f"{uri}{'&' if parts.query else '?'}{name}={value}"


def _refuse_bad_uri(uri: str) -> None:
    try:
        parts = urlsplit(uri)
    except ValueError as error:  # such as a bracket that is not closed
        raise user_error(f"not a store's URI: {uri!r}", where="--store", mend=_MEND) from error
    if parts.scheme not in {"s3", "gs"}:
        raise user_error(f"no store of kind {parts.scheme!r}", where="--store", mend=_MEND)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if parts.username or parts.password or any(_SECRET.search(name) for name in names):
        raise user_error(
            "the store's URI holds credentials, which would be written into records",
            where="--store",
            mend="take them out; use the environment, a profile or the machine's role",
        )
    if any(character.isspace() for character in uri) or not parts.netloc:
        raise user_error(f"not a store's URI: {uri!r}", where="--store", mend=_MEND)


def publish(root: Root, path: str, content: bytes) -> None:
    """Write a whole file, durable when this returns; an existing one is replaced at once.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        if root.local is not None:
            _publish_locally(root.local, path, content)
        else:
            _put(root.filesystem, path, content)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot write {path} in the store {root.uri}: {error}") from error


def _publish_locally(folder: Path, path: str, content: bytes) -> None:
    target = folder / path
    _make_folder(target.parent)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    try:
        with temporary.open("xb") as stream:
            stream.write(content[: len(content) // 2])
            fault_injection.reach_write(path)
            stream.write(content[len(content) // 2 :])
            stream.flush()
            os.fsync(stream.fileno())
        fault_injection.reach_renaming(path)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems sync files only
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _put(filesystem: fs.FileSystem, path: str, content: bytes) -> None:
    stream = filesystem.open_output_stream(path)
    stream.write(content[: len(content) // 2])
    try:
        fault_injection.reach_write(path)
    finally:  # Arrow publishes what an abandoned stream holds, be it half
        stream.write(content[len(content) // 2 :])
    fault_injection.reach_renaming(path)
    stream.close()


def read(root: Root, path: str) -> bytes | None:
    """Read a whole file; None when there is none.

    Raises:
        UnreadableFile: What is there is no file that can ever be read.
        StoreError: It is there and cannot be read.
    """
    fault = None if root.local is None else unreadable(root.local / path)
    if fault is not None:
        raise UnreadableFile(f"cannot read {path} in the store {root.uri}", fault)
    try:
        with root.filesystem.open_input_file(path) as stream:
            content: bytes = stream.read()
            return content
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError) or _is_gone(root, path):
            return None
        raise StoreError(f"cannot read {path} in the store {root.uri}: {error}") from error


def _is_gone(root: Root, path: str) -> bool:
    """Return whether a file that could not be read was removed meanwhile; object storage has no word for it."""
    try:
        return bool(root.filesystem.get_file_info(path).type == fs.FileType.NotFound)
    except (OSError, pa.ArrowException):
        return False


def names(
    root: Root, folder: str, *, recursive: bool = False, beginnings: tuple[str, ...] = ("",)
) -> list[str]:
    """List the finished files of a folder by path below the root, sorted; [] when there is none.

    Args:
        root: Of the store.
        folder: Below it.
        recursive: What is in folders below counts too.
        beginnings: How their names begin, in one of these ways.

    Raises:
        StoreError: The folder is there and cannot be listed.
    """
    if root.local is None:
        found = marks(root, folder, recursive=recursive)
        return sorted(path for path in found if path.rpartition("/")[2].startswith(beginnings))
    try:
        return sorted(names_in(root.local, folder, recursive=recursive, beginnings=beginnings))
    except OSError as error:
        raise StoreError(f"cannot list {folder} in the store {root.uri}: {error}") from error


def marks(root: Root, folder: str, *, recursive: bool = False) -> dict[str, Mark]:
    """List the finished files of a folder by path, each with what tells one content from the next.

    Of a local folder also what is named as a record or a document and is none: a folder, a link to nothing.

    Raises:
        StoreError: The folder is there and cannot be listed.
    """
    try:
        if root.local is not None:
            return marks_in(root.local, folder, recursive=recursive)
        found = root.filesystem.get_file_info(
            fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
        )
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot list {folder} in the store {root.uri}: {error}") from error
    return {
        info.path: Mark(info.size, info.mtime_ns)
        for info in found
        if info.type == fs.FileType.File and not info.base_name.startswith(".")
    }


def folders(root: Root) -> list[str]:
    """List the folders right below the root, sorted; [] when the root is not there.

    Raises:
        StoreError: It is there and cannot be listed.
    """
    try:
        if root.local is not None:
            return folders_in(root.local)
        found = root.filesystem.get_file_info(fs.FileSelector("", allow_not_found=True))
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot list the store {root.uri}: {error}") from error
    return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)


def remove(root: Root, path: str) -> None:
    """Remove a file; no fault when it is not there."""
    try:
        root.filesystem.delete_file(path)
    except FileNotFoundError:
        return
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot remove {path} in the store {root.uri}: {error}") from error
