"""The cache: decoded once, checked when read, made anew when damaged, harmless when unwritable."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workers.contract.errors import UserError
from workers.datasets import cache as data_cache
from workers.datasets.dataset import Split


def splits() -> tuple[Split, Split]:
    inputs = np.arange(12, dtype=np.uint8).reshape(6, 2)
    targets = np.ones((6, 1), np.float32)
    return Split(inputs, targets), Split(inputs[:2], targets[:2])


class Decoder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> tuple[Split, Split]:
        self.calls += 1
        return splits()


def test_the_folder_comes_from_the_environment():
    """MINIMA_CACHE, else XDG_CACHE_HOME/minima, else ~/.cache/minima."""
    both = {"MINIMA_CACHE": "/a", "XDG_CACHE_HOME": "/b"}
    assert data_cache.cache_folder(both) == Path("/a")
    assert data_cache.cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/minima")
    assert data_cache.cache_folder({}) == Path.home() / ".cache" / "minima"
    with pytest.raises(UserError, match="home folder that is not known") as told:
        data_cache.cache_folder({"MINIMA_CACHE": "~no-such-user/x"})
    assert "where: MINIMA_CACHE" in str(told.value)


def test_data_are_decoded_once_and_then_mapped(cache):
    """The second reader gets the same values from the file, not from the decoder."""
    decoder = Decoder()
    first = data_cache.decoded_splits(cache, "key", decoder)
    second = data_cache.decoded_splits(cache, "key", decoder)
    assert decoder.calls == 1
    assert first[2] == second[2]
    assert isinstance(second[0].inputs, np.memmap)
    np.testing.assert_array_equal(second[0].inputs, splits()[0].inputs)
    np.testing.assert_array_equal(second[1].targets, splits()[1].targets)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove", "pickle"])
def test_a_damaged_array_is_decoded_anew(damage, cache):
    """Every value is hashed when read, so not one wrong bit gets through."""
    decoder = Decoder()
    data_cache.decoded_splits(cache, "key", decoder)
    (path,) = cache.glob("arrays/*/train_inputs.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    elif damage == "pickle":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    else:
        path.write_bytes({"flip": content, "cut": content[:-3], "empty": b""}[damage])
    for _ in range(2):
        train, _, _ = data_cache.decoded_splits(cache, "key", decoder)
        np.testing.assert_array_equal(train.inputs, splits()[0].inputs)
    assert decoder.calls == 2


def test_a_damaged_note_is_ignored(cache):
    """A half-written digest means decoding, not failing."""
    decoder = Decoder()
    data_cache.decoded_splits(cache, "key", decoder)
    (note,) = cache.glob("digests/*.json")
    for text in ("", '"nothing"', "[1]", '"../..'):
        note.write_text(text)
        data_cache.decoded_splits(cache, "key", decoder)
    assert decoder.calls == 5


def test_an_unwritable_cache_is_warned_of_and_done_without(tmp_path):
    """The data are given all the same; the message names the variable that mends it."""
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.warns(UserWarning, match="the cache cannot be written .*set MINIMA_CACHE to a"):
        train, _, _ = data_cache.decoded_splits(blocked, "key", splits)
    np.testing.assert_array_equal(train.inputs, splits()[0].inputs)


def test_nothing_half_written_is_left(cache):
    """A writer that fails leaves neither the file nor a temporary one."""

    def fail(stream):
        stream.write(b"half")
        raise OSError("disk full")

    with pytest.warns(UserWarning, match="disk full"):
        data_cache.write_whole(cache / "entry", fail)
    assert list(cache.iterdir()) == []


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from workers.datasets.cache import decoded_splits
from workers.datasets.dataset import Split

def decode():
    with Path(sys.argv[2]).open("a") as log:
        log.write("decoded\\n")
    inputs = np.full((2000, 100), 7, np.uint8)
    return (Split(inputs, np.ones((2000, 1), np.float32)),) * 2

print(decoded_splits(Path(sys.argv[1]), "key", decode)[2])
"""


def test_processes_that_start_together_decode_once(cache, tmp_path):
    """The lock lets one decode while the others wait for its files."""
    log = tmp_path / "log"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", WRITER, str(cache), str(log)]
    writers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    digests = {writer.communicate(timeout=60)[0] for writer in writers}
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(digests) == 1
    assert log.read_text() == "decoded\n"
