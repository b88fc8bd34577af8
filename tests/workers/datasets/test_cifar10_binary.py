"""The official binary version: records, the archive, and the download, served on loopback."""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.datasets.cifar10_binary import decode_records, fetch_archive, read_archive, read_files


def test_a_record_is_label_then_red_green_blue_planes_row_by_row():
    """Byte 1 + 1024·colour + 32·row + column is that pixel's colour."""
    planes = np.arange(3 * 32 * 32) % 251
    split = decode_records([("batch", bytes([7, *planes]))])
    row, column, colour = 5, 9, 2
    assert split.inputs[0, row, column, colour] == (1024 * colour + 32 * row + column) % 251
    assert split.targets.tolist() == [[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]]


def test_the_archive_and_its_files_hold_the_same(small_cifar10, tmp_path):
    """Batches are taken in the order of their numbers, whatever their order in the archive."""
    small_cifar10.write_binary(tmp_path)
    small_cifar10.write_archive(tmp_path)
    train, test = read_archive(tmp_path / "cifar-10-binary.tar.gz")
    files = read_files(tuple(tmp_path / f"data_batch_{number}.bin" for number in range(1, 6)))
    np.testing.assert_array_equal(train.inputs, small_cifar10.images[:20])
    np.testing.assert_array_equal(train.targets.argmax(axis=1), small_cifar10.labels[:20])
    np.testing.assert_array_equal(test.inputs, small_cifar10.images[20:])
    np.testing.assert_array_equal(files.inputs, train.inputs)


def test_every_bad_batch_is_named(small_cifar10):
    """A cut file and a label above 9 are told at once, with place, size and record."""
    bad_label = bytearray(small_cifar10.records(0))
    bad_label[2 * 3073] = 12
    with pytest.raises(UserError) as caught:
        decode_records([("a.bin", bytes(3072)), ("b.bin", bytes(bad_label)), ("c.bin", b"")])
    assert [fault.what for fault in caught.value.faults] == [
        "a.bin has 3,072 bytes, not a multiple of 3,073",
        "b.bin has the label 12 in record 2; labels are 0 to 9",
        "c.bin has 0 bytes, not a multiple of 3,073",
    ]
    assert caught.value.faults[0].mend.startswith("copy it again, or give a folder that holds")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """The system's own words are kept."""
    (tmp_path / "data_batch_1.bin").mkdir()
    with pytest.raises(UserError, match=r"CIFAR-10 cannot be read: .*data_batch_1.bin"):
        read_files((tmp_path / "data_batch_1.bin",))


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_archive_is_named_with_its_digest(damage, small_cifar10, tmp_path):
    """A cut file, one changed byte and something else altogether are all seen."""
    content = bytearray(small_cifar10.archive())
    content[len(content) // 2] ^= 1
    damaged = {"cut": content[:-100], "flipped": content, "text": b"<html>not found</html>"}[damage]
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError) as caught:
        read_archive(path)
    assert str(caught.value).startswith(f"{path} cannot be read as a gzip-compressed tar archive: ")
    assert "download it again; its SHA-256 is c4a38c50" in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "../../", "/etc/"])
def test_members_elsewhere_are_not_read(prefix, small_cifar10, tmp_path):
    """Only the exact names count, so a path that climbs out is just a missing member."""
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(small_cifar10.archive(prefix))
    with pytest.raises(UserError, match=r"holds no file cifar-10-batches-bin/data_batch_1\.bin"):
        read_archive(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_link_in_place_of_a_member_is_not_followed(tmp_path):
    """A symbolic link to a file of this machine is refused."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(content.getvalue()))
    with pytest.raises(UserError, match="holds no file"):
        read_archive(path)


@pytest.fixture
def served(tmp_path, small_cifar10):
    """Serve the archive on loopback; give its address, digest, and the paths asked for."""
    content = small_cifar10.archive()
    folder = tmp_path / "served"
    small_cifar10.write_archive(folder)
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"
    yield address, hashlib.sha256(content).hexdigest(), asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_many_at_once_download_once(served, cache):
    """The lock lets one download; the others find the file, and later ones ask for nothing."""
    address, sha256, asked = served
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch_archive(cache, address, sha256), range(4)))
    assert set(paths) == {cache / "cifar-10-binary.tar.gz"}
    assert len(asked) == 1
    train, test = read_archive(paths[0])
    assert (len(train), len(test)) == (20, 4)


FETCH = """
import sys
from pathlib import Path
from workers.datasets.cifar10_binary import fetch_archive
folder, address, sha256 = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
print(fetch_archive(Path(folder), address, sha256))
"""


def test_two_processes_download_once(served, cache):
    """Both begin at once; the lock holds between processes as between threads."""
    address, sha256, asked = served
    command = [sys.executable, "-c", FETCH, str(cache), address, sha256]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert told == [str(cache / "cifar-10-binary.tar.gz")] * 2
    assert len(asked) == 1


def test_what_is_not_the_archive_is_not_kept(served, cache):
    """A wrong digest leaves no file behind."""
    address, _, _ = served
    with pytest.raises(UserError, match=r"cannot be downloaded from .*does not match the known"):
        fetch_archive(cache, address, "0" * 64)
    assert not (cache / "cifar-10-binary.tar.gz").exists()


def test_no_network_is_answered_with_the_cure(cache):
    """The address, the target and the way round are in the message."""
    address = "http://127.0.0.1:9/cifar-10-binary.tar.gz"
    with pytest.raises(UserError) as caught:
        fetch_archive(cache, address, "0" * 64)
    (fault,) = caught.value.faults
    assert fault.what.startswith(f"CIFAR-10 cannot be downloaded from {address} to {cache}")
    assert fault.where == "--data-dir (left out, so the official archive is downloaded)"
    assert fault.mend == (
        "fetch cifar-10-binary.tar.gz on a machine with a network and give its folder as "
        "--data-dir; MINIMA_CACHE sets where downloads go"
    )
