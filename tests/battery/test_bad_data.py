"""What is wrong with folders given as CIFAR-10, one row an input: what is told, where, and how to mend it."""

from __future__ import annotations

import gzip
import io
import os
import resource
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.planning.checks import check_sweep
from orchestrator.planning.prepare import Options, prepare
from workers.contract.errors import Fault, UserError
from workers.datasets import cifar10
from workers.datasets.checked.loading import load_dataset
from workers.datasets.cifar10 import Cifar10Spec
from workers.datasets.cifar10_files import MEND, find_source

RECORD = 3073
BATCHES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BAD_ARCHIVE = "remove it and download it again; its SHA-256 is c4a38c50"
SWEEP: dict[str, object] = {
    "name": "tiny",
    "model": {"name": "mlp"},
    "dataset": {"name": "cifar10"},
    "loss": "kld",
    "grid": {"batch_size": [1], "learning_rate": [0.1]},
    "seeds": 1,
    "training": {"epochs": 1},
    "measure": ["losses"],
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Keep the cache of every test apart."""
    monkeypatch.setenv("MINIMA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A place for the data."""
    made = tmp_path / "data"
    made.mkdir()
    return made


def encoded(seed: int = 0, size: tuple[int, ...] = (32, 32, 3), kind: str = "PNG") -> bytes:
    """Encode an image of random pixels."""
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(content, format=kind)
    return content.getvalue()


GOOD = encoded()


def struct(*contents: bytes | None, path: str | None = None) -> pa.Array:
    return pa.array([{"bytes": content, "path": path} for content in contents], STRUCT)


def write(path: Path, *columns: tuple[str, pa.Array]) -> None:
    """Write a file; two images of two classes unless columns are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or (("img", struct(GOOD, GOOD)), ("label", pa.array([0, 1])))
    pq.write_table(pa.Table.from_arrays([c for _, c in columns], [n for n, _ in columns]), path)


def told(folder: Path) -> tuple[Fault, ...]:
    with pytest.raises(UserError) as error:
        load_dataset(Cifar10Spec(), str(folder))
    assert all(fault.where == "--data-dir" for fault in error.value.faults)
    assert " at 0x" not in str(error.value)
    return error.value.faults


TEST = "test.parquet"
ELSEWHERE = "keep the files of one, and move the others elsewhere"
NAMED = "move it elsewhere; a split's files are named train.parquet, train-00000-of-00001.parquet, train-0.parquet, or train/0000.parquet"
TWICE = "holds files of 2 namings for the train split, which would count twice: "

# names of files (T stands for a sound test split) → what is told of the folder, how to mend it
NAMES: list[tuple[list[str], str, str]] = [
    (["train.parquet", "train-00000-of-00001.parquet", TEST], f"{TWICE}train-00000-of-00001.parquet, train.parquet", ELSEWHERE),
    (["train.parquet", "train-0.parquet", TEST], f"{TWICE}train-0.parquet, train.parquet", ELSEWHERE),
    (["train-0.parquet", "train_0.parquet", TEST], f"{TWICE}train-0.parquet, train_0.parquet", ELSEWHERE),
    (["train-0-of-1.parquet", "train-0-of-2.parquet", "train-1-of-2.parquet", TEST], f"{TWICE}train-0-of-1.parquet, train-0-of-2.parquet", ELSEWHERE),
    (["train.parquet", "train/0000.parquet", TEST], f"{TWICE}train.parquet, train/0000.parquet", ELSEWHERE),
    (["train-0.parquet", "train/0000.parquet", TEST], f"{TWICE}train-0.parquet, train/0000.parquet", ELSEWHERE),
    *(
        (["train.parquet", TEST, stray], f"holds {stray}, which belongs to no split by its name", NAMED)
        for stray in (
            "train (copy).parquet", "Train.parquet", "train.PARQUET", "training.parquet", "train2.parquet",
            "train-old.parquet", "Copy of train.parquet", "train-00000-of-00001 (1).parquet", "validation.parquet",
            "partial-train.parquet", "train-.parquet", "train--1.parquet", "train_0-of-1.parquet",
            "train-0-of-.parquet", "train-٠.parquet", "0000.parquet", "cifar10-train.parquet", "metadata.parquet",
        )
    ),
    (["train.parquet", "test/0000.parquet", "test/other.parquet"], "holds test/other.parquet, which belongs to no split by its name", NAMED),
    (["train.parquet", TEST, *(f"train-copy{n}.parquet" for n in range(9))],
     "holds train-copy0.parquet, train-copy1.parquet, train-copy2.parquet, train-copy3.parquet and 5 more, which belongs to no split by its name", NAMED),
    (["Train.parquet", TEST], "holds Train.parquet, which belongs to no split by its name", NAMED),
    (["train-00000-of-00003.parquet", "train-00002-of-00003.parquet", TEST], "lacks train-00001-of-00003.parquet", "copy the missing files into "),
    (["train-00000-of-3000000000.parquet", TEST], "lacks train-00001-of-3000000000.parquet, train-00002-of-3000000000.parquet, train-00003-of-3000000000.parquet, train-00004-of-3000000000.parquet and 2,999,999,995 more", "copy the missing files into "),
    (["train-00000-of-00002-0123456789abcdef.parquet", TEST], "lacks train-00001-of-00002-….parquet", "copy the missing files into "),
    (["train-0.parquet", "train-2.parquet", TEST], "lacks train-1.parquet", "copy the missing files into "),
    (["train-1.parquet", "train-2.parquet", TEST], "lacks train-0.parquet", "copy the missing files into "),
    (["train-3000000000.parquet", TEST], "lacks train-0.parquet, train-1.parquet, train-2.parquet, train-3.parquet and 2,999,999,996 more", "copy the missing files into "),
    (["train/0001.parquet", "test/0000.parquet"], "lacks train/0000.parquet", "copy the missing files into "),
    (["train-0.parquet", "train-00.parquet", TEST], "holds shard 0 twice: train-0.parquet, train-00.parquet", "keep one of them"),
    (["train-0-of-1-0123456789abcdef.parquet", "train-0-of-1-0123456789abcde0.parquet", TEST],
     "holds shard 0 twice: train-0-of-1-0123456789abcde0.parquet, train-0-of-1-0123456789abcdef.parquet", "keep one of them"),
    (["train-00000-of-00000.parquet", TEST], "/train-00000-of-00000.parquet is beyond the last of 0 shards, number -1", "shards are numbered from 0: mend the name, or remove it"),
    (["train-00005-of-00003.parquet", TEST], "/train-00005-of-00003.parquet is beyond the last of 3 shards, number 2", "shards are numbered from 0: mend the name, or remove it"),
    (["train.parquet"], "holds no test*.parquet", "copy them into it; a split's files are named train.parquet"),
    ([TEST], "holds no train*.parquet", "copy them into it; a split's files are named train.parquet"),
    (["train/0000.parquet"], "holds no test*.parquet", "copy them into it; a split's files are named train.parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "what", "mend"), NAMES, ids=lambda row: str(row)[:60])
def test_files_that_are_not_one_naming_whole_are_refused_by_name(names, what, mend, folder):
    """Each is told with the folder; nothing is read, and nothing of the size that a name claims is made."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    started = time.process_time()
    with pytest.raises(UserError) as error:
        find_source(folder)
    assert time.process_time() - started < 1
    faults = [fault for fault in error.value.faults if fault.what.startswith(str(folder))]
    assert what in [fault.what.removeprefix(str(folder)).removeprefix(" ") for fault in faults]
    assert all(fault.mend.startswith(mend) for fault in faults if fault.what.endswith(what))


@pytest.mark.parametrize(
    ("train", "below"),
    [
        (["train.parquet"], ""),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"], ""),
        ([f"train-{number}.parquet" for number in range(11)], ""),
        ([f"train_{number:03}.parquet" for number in range(11)], ""),
        ([f"train-{number}-of-11.parquet" for number in range(11)], ""),
        (["train-00000-of-00002-ffffffffffffffff.parquet", "train-00001-of-00002-0000000000000000.parquet"], "data"),
        (["train/0000.parquet", "train/0001.parquet"], ""),
        (["train/0000.parquet", "train/0001.parquet"], "cifar10"),
        (["train-00000-of-00001.parquet"], "snapshots/0123abcd/plain_text"),
        (["train-00000-of-00001.parquet"], "datasets--uoft-cs--cifar10/snapshots/0123abcd/plain_text"),
        (["train/0000.parquet"], "datasets--cifar10/snapshots/0123abcd/plain_text"),
    ],
    ids=lambda row: str(row)[:60],
)  # fmt: skip
def test_the_layouts_of_the_hub_are_read_in_the_order_of_their_numbers(train, below, folder):
    """Unpadded numbers too: 2 before 10. Hidden files, and other data sets of the hub's cache, are passed over."""
    is_bare = train[0].startswith("train/")
    for name in [*train, "test/0000.parquet" if is_bare else TEST, "._train.parquet"]:
        (folder / below / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / below / name).touch()
    above = folder / "snapshots"
    if above.is_dir():
        assert find_source(above) == find_source(folder)
    (folder / "datasets--cifar100" / "snapshots" / "0" / "data").mkdir(parents=True)
    (folder / "datasets--cifar100" / "snapshots" / "0" / "data" / "train.parquet").touch()
    source = find_source(folder)
    assert [path.relative_to(folder / below).as_posix() for path in source.train] == train
    assert len(source.test) == 1


def test_two_snapshots_are_not_chosen_between(folder):
    """Both are named; the cure is to give one."""
    for revision in ("aa", "bb"):
        for name in ("train.parquet", TEST):
            path = folder / "datasets--cifar10" / "snapshots" / revision / "plain_text" / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.touch()
    with pytest.raises(UserError) as error:
        find_source(folder)
    (fault,) = error.value.faults
    assert "more than one data set of Parquet files" in fault.what
    assert "snapshots/aa/plain_text" in fault.what
    assert "snapshots/bb/plain_text" in fault.what
    assert fault.mend == "give one of these folders"


def as_folder(path: Path) -> None:
    path.mkdir()


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def as_circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [as_folder, as_pipe, as_zeros, as_broken_link, as_circle])
@pytest.mark.parametrize("name", ["train.parquet", "data_batch_1.bin", "cifar-10-binary.tar.gz"])
def test_what_is_no_file_is_refused_unread(name, make, folder):
    """A device has no end, and a pipe nothing until someone writes to it."""
    for other in [*BATCHES[1:], "train.parquet", TEST][5 if name == "train.parquet" else 0 :]:
        (folder / other).touch()
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    if name == "cifar-10-binary.tar.gz":  # then it is passed over, as if it were not there
        (folder / BATCHES[1]).unlink()
    with pytest.raises(UserError) as error:
        find_source(folder)
    expected = {
        "train.parquet": f"{folder}/train.parquet is no regular file, but a folder, a device or a broken link",
        "data_batch_1.bin": f"{folder} lacks data_batch_1.bin",
        "cifar-10-binary.tar.gz": f"{folder} lacks data_batch_1.bin, data_batch_2.bin",
    }
    assert [fault.what for fault in error.value.faults] == [expected[name]]


def test_a_device_as_the_folder_is_refused():
    """With every layout that is read."""
    (fault,) = told(Path("/dev/zero"))
    assert (fault.what, fault.mend) == ("/dev/zero is not a folder", MEND)


IMAGE, LABEL = ("img", struct(GOOD, GOOD)), ("label", pa.array([0, 1]))
WANTED = "not img or image (bytes, or struct with bytes) and label (integer)"
EMBED = "write the files with the images' bytes in them, as `datasets`' push_to_hub does, or "
AS_PNG = "save the images as PNG, which loses nothing, or "
AGAIN = "replace it, or "
WEBP = encoded(kind="WEBP")
TALL = encoded(size=(64, 32, 3))
BOMB = GOOD[:16] + (60_000).to_bytes(4, "big") * 2 + GOOD[24:29] + zlib.crc32(
    b"IHDR" + (60_000).to_bytes(4, "big") * 2 + GOOD[24:29]
).to_bytes(4, "big") + GOOD[33:]  # fmt: skip

# columns of train.parquet → what is told of it, how to mend it
COLUMNS: list[tuple[str, list[tuple[str, pa.Array]], str, str]] = [
    ("null", [("img", struct(GOOD, None)), LABEL], ", row 1 has no bytes", EMBED),
    ("path only", [("img", struct(None, None, path="0.png")), LABEL], ", row 0 has no bytes, only the path '0.png'", EMBED),
    ("null bytes", [("image", pa.array([None, GOOD], pa.binary())), LABEL], ", row 0 has no bytes", EMBED),
    ("empty", [("img", struct(GOOD, b"")), LABEL], ", row 1 is empty; PNG and JPEG are read", AS_PNG),
    ("webp", [("img", struct(WEBP, GOOD)), LABEL], ", row 0 is WebP; PNG and JPEG are read", AS_PNG),
    ("gif", [("img", struct(GOOD, b"GIF89a")), LABEL], ", row 1 is GIF; PNG and JPEG are read", AS_PNG),
    ("bmp", [("img", struct(encoded(kind="BMP"), GOOD)), LABEL], ", row 0 is BMP; PNG and JPEG are read", AS_PNG),
    ("tiff", [("img", struct(GOOD, encoded(kind="TIFF"))), LABEL], ", row 1 is TIFF; PNG and JPEG are read", AS_PNG),
    ("text", [("img", struct(GOOD, b"<html></html>")), LABEL], ", row 1 is no image that is known: it begins with b'<html></'; PNG and JPEG are read", AS_PNG),
    ("raw pixels", [("img", struct(GOOD, bytes(3072))), LABEL], f", row 1 is no image that is known: it begins with {bytes(8)!r}; PNG and JPEG are read", AS_PNG),
    ("cut", [("img", struct(GOOD, GOOD[:40])), LABEL], ", row 1 is a damaged PNG", AGAIN),
    ("tall", [("img", struct(TALL, GOOD)), LABEL], ", row 0 has 32 × 64 pixels of mode RGB, not 32 × 32 of RGB", AGAIN),
    ("grey", [("img", struct(GOOD, encoded(size=(32, 32)))), LABEL], ", row 1 has 32 × 32 pixels of mode L, not 32 × 32 of RGB", AGAIN),
    ("transparent", [("img", struct(GOOD, encoded(size=(32, 32, 4)))), LABEL], ", row 1 has 32 × 32 pixels of mode RGBA, not 32 × 32 of RGB", AGAIN),
    ("image bomb", [("img", struct(GOOD, BOMB)), LABEL], ", row 1 is a damaged PNG: Image size (3600000000 pixels) exceeds limit", AGAIN),
    ("long image", [("img", struct(GOOD, GOOD + bytes(20_000))), LABEL], f", row 1 has {len(GOOD) + 20_000:,} bytes, and an image of CIFAR-10 at most 16,384", AGAIN),
    ("longer images", [("img", struct(GOOD, os.urandom(10**6))), LABEL], " holds 1,00", AGAIN),
    ("no images", [("img", struct()), ("label", pa.array([], pa.int64()))], " holds no rows", AGAIN),
    ("no label", [IMAGE], f" has the columns img ({STRUCT}), {WANTED}", AGAIN),
    ("no image", [LABEL], f" has the columns label (int64), {WANTED}", AGAIN),
    ("cifar100", [IMAGE, ("fine_label", pa.array([0, 1]))], f" has the columns img ({STRUCT}), fine_label (int64), {WANTED}", AGAIN),
    ("two labels", [IMAGE, LABEL, LABEL], " has 2 columns where one is wanted: label, label", AGAIN),
    ("two images", [IMAGE, IMAGE, LABEL], " has 2 columns where one is wanted: img, img", AGAIN),
    ("both names", [IMAGE, ("image", struct(GOOD, GOOD)), LABEL], " has 2 columns where one is wanted: img, image", AGAIN),
    ("text images", [("img", pa.array(["a", "b"])), LABEL], f" has the columns img (string), label (int64), {WANTED}", AGAIN),
    ("paths", [("img", pa.array([{"path": "a"}] * 2)), LABEL], f" has the columns img (struct<path: string>), label (int64), {WANTED}", AGAIN),
    ("text bytes", [("img", pa.array([{"bytes": "a"}] * 2)), LABEL], f" has the columns img (struct<bytes: string>), label (int64), {WANTED}", AGAIN),
    ("real label", [IMAGE, ("label", pa.array([0.0, 1.0]))], f" has the columns img ({STRUCT}), label (double), {WANTED}", AGAIN),
    ("text label", [IMAGE, ("label", pa.array(["cat", "dog"]))], f" has the columns img ({STRUCT}), label (string), {WANTED}", AGAIN),
    ("true label", [IMAGE, ("label", pa.array([True, False]))], f" has the columns img ({STRUCT}), label (bool), {WANTED}", AGAIN),
    ("null label", [IMAGE, ("label", pa.array([None, 1]))], " has 1 rows without a label", AGAIN),
    ("label 10", [IMAGE, ("label", pa.array([0, 10]))], " has the label 10 in row 1; labels are 0 to 9", AGAIN),
    ("label -1", [IMAGE, ("label", pa.array([-1, 0], pa.int8()))], " has the label -1 in row 0; labels are 0 to 9", AGAIN),
    ("label 2⁶⁴-1", [IMAGE, ("label", pa.array([0, 2**64 - 1], pa.uint64()))], " has the label 18446744073709551615 in row 1; labels are 0 to 9", AGAIN),
]  # fmt: skip


@pytest.mark.parametrize("row", COLUMNS, ids=lambda row: row[0])
def test_a_bad_file_is_told_with_row_and_cause(row, folder):
    """One fault, of that file."""
    _, columns, what, mend = row
    write(folder / "train.parquet", *columns)
    write(folder / TEST)
    (fault,) = told(folder)
    assert fault.what.startswith(f"{folder}/train.parquet{what}")
    assert fault.mend == f"{mend}{MEND}"


@pytest.mark.parametrize(
    "images",
    [
        ("img", struct(GOOD, GOOD)),
        ("image", struct(GOOD, GOOD, path="0.png")),
        ("image", pa.array([GOOD, GOOD])),
        ("img", pa.array([GOOD, GOOD], pa.large_binary())),
        ("img", pa.array([{"bytes": GOOD}, {"bytes": GOOD}])),
    ],
    ids=["img", "image", "bytes", "large bytes", "without path"],
)
@pytest.mark.parametrize("label", [pa.int64(), pa.uint8()])
def test_every_column_that_the_hub_has_gives_the_same_data(images, label, folder):
    """The digest knows nothing of names and types."""
    write(folder / "train.parquet", images, ("label", pa.array([0, 1], label)))
    write(folder / TEST)
    dataset = load_dataset(Cifar10Spec(), str(folder))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(dataset.train.inputs, [pixels, pixels])
    assert dataset.train.targets.argmax(axis=1).tolist() == [0, 1]


def rows_without_end(path: Path) -> None:
    """200,000 rows in a few kilobytes, all of one image: run lengths of one dictionary entry."""
    one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int32)), pa.array([GOOD]))
    write(path, ("img", one), ("label", pa.array(np.zeros(200_000, np.int8))))


def one_large_image(path: Path) -> None:
    """60,000 rows of one value of 10 MB, 600 GB when written out."""
    value = pa.array([bytes(10**7)], pa.binary())
    one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(60_000, np.int32)), value)
    write(path, ("img", one), ("label", pa.array(np.zeros(60_000, np.int8))))


def a_page_of_zeros(path: Path) -> None:
    """50 MB of zeros in one row, compressed."""
    path.parent.mkdir(exist_ok=True)
    table = pa.table({"img": pa.array([bytes(5 * 10**7)]), "label": pa.array([1])})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (rows_without_end, "/train.parquet holds 200,000 rows, and all of CIFAR-10 is 60,000 images"),
        (one_large_image, "/train.parquet, row 0 has 10,000,000 bytes, and an image of CIFAR-10 at most 16,384"),
        (a_page_of_zeros, "/train.parquet holds 50,0"),
    ],
)  # fmt: skip
def test_a_small_parquet_file_that_stands_for_much_is_refused_unread(make, what, folder):
    """By what the footer says; in seconds, and without the memory."""
    make(folder / "train.parquet")
    write(folder / TEST)
    assert (folder / "train.parquet").stat().st_size < 10**6
    before, started = peak_bytes(), time.process_time()
    (fault,) = told(folder)
    assert fault.what.startswith(f"{folder}{what}")
    assert time.process_time() - started < 10
    assert peak_bytes() - before < 10**9


def peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def batch(num_records: int = 2) -> bytes:
    return b"".join(bytes([label]) + bytes(RECORD - 1) for label in range(num_records))


Entry = tarfile.TarInfo | tuple[str, bytes]


def archive(*entries: Entry) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as made:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                made.addfile(entry)
            else:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{entry[0]}")
                member.size = len(entry[1])
                made.addfile(member, io.BytesIO(entry[1]))
    return content.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
    member.type, member.linkname = kind, target
    return member


def sparse(name: str) -> bytes:
    """A member that claims a terabyte of holes (GNU sparse 1.0 in a pax header)."""
    member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": str(10**12),
    }
    content = b"0\n".ljust(512, b"\0")
    member.size = len(content)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(member, io.BytesIO(content))
        for other in BATCHES:
            if other != name:
                entry = tarfile.TarInfo(f"cifar-10-batches-bin/{other}")
                entry.size = RECORD
                made.addfile(entry, io.BytesIO(batch(1)))
    return stream.getvalue()  # fmt: skip


REST = [(name, batch()) for name in BATCHES[1:]]
MEMBER = "cifar-10-batches-bin/data_batch_1.bin"
COPY = "copy it again, or "

# bytes of the archive, not yet compressed → what is told of it, how to mend it
ARCHIVES: list[tuple[str, Callable[[], bytes], str, str]] = [
    ("empty", lambda: b"", " cannot be read as a gzip-compressed tar archive: ", BAD_ARCHIVE),
    ("text", lambda: b"hello" * 1000, " cannot be read as a gzip-compressed tar archive: ", BAD_ARCHIVE),
    ("compressed twice", lambda: gzip.compress(archive(*REST)), " cannot be read as a gzip-compressed tar archive: ", BAD_ARCHIVE),
    ("a member less", lambda: archive(*REST), f" holds no file {MEMBER}", "give a folder"),
    ("elsewhere", lambda: archive(("../data_batch_1.bin", batch()), *REST), f" holds no file {MEMBER}", "give a folder"),
    ("link", lambda: archive(link("data_batch_1.bin", "/etc/passwd"), *REST), f" holds {MEMBER} as a link or a device, not as a file", BAD_ARCHIVE),
    ("circle", lambda: archive(link("data_batch_1.bin", "data_batch_1.bin"), *REST), f" holds {MEMBER} as a link or a device, not as a file", BAD_ARCHIVE),
    ("hard link", lambda: archive(link("data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin", tarfile.LNKTYPE), *REST), f" holds {MEMBER} as a link or a device, not as a file", BAD_ARCHIVE),
    ("device", lambda: archive(link("data_batch_1.bin", "", tarfile.CHRTYPE), *REST), f" holds {MEMBER} as a link or a device, not as a file", BAD_ARCHIVE),
    ("pipe", lambda: archive(link("data_batch_1.bin", "", tarfile.FIFOTYPE), *REST), f" holds {MEMBER} as a link or a device, not as a file", BAD_ARCHIVE),
    ("folder", lambda: archive(link("data_batch_1.bin", "", tarfile.DIRTYPE), *REST), f" holds {MEMBER} as a link or a device, not as a file", BAD_ARCHIVE),
    ("holes", lambda: sparse("data_batch_1.bin"), f", {MEMBER} has 1,000,000,000,000 bytes, and a batch of CIFAR-10 at most 30,730,000", COPY),
    ("no records", lambda: archive(("data_batch_1.bin", b""), *REST), f", {MEMBER} has 0 bytes, not a multiple of 3,073", COPY),
    ("half a record", lambda: archive(("data_batch_1.bin", batch()[:-1]), *REST), f", {MEMBER} has 6,145 bytes, not a multiple of 3,073", COPY),
    ("label", lambda: archive(("data_batch_1.bin", batch(11)), *REST), f", {MEMBER} has the label 10 in record 10; labels are 0 to 9", COPY),
    ("a hundred members", lambda: archive(*((f"x{n}", b"") for n in range(100)), ("data_batch_1.bin", batch()), *REST), f" holds no file {MEMBER}", "give a folder"),
]  # fmt: skip


@pytest.mark.parametrize("row", ARCHIVES, ids=lambda row: row[0])
def test_a_bad_archive_is_told_with_its_member(row, folder):
    """The first fault is of the first training batch."""
    _, content, what, mend = row
    path = folder / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(content(), compresslevel=1))
    fault = told(folder)[0]
    assert fault.what.startswith(f"{path}{what}")
    assert fault.mend.startswith(mend)


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"not gzip", gzip.compress(archive(*REST))[:-9]]
)
def test_an_archive_that_is_no_gzip_is_told(content, folder):
    """Also one that was cut before its end."""
    path = folder / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    (fault,) = told(folder)
    assert fault.what.startswith(f"{path} cannot be read as a gzip-compressed tar archive: ")
    assert fault.mend.startswith(BAD_ARCHIVE)


def test_an_archive_that_unpacks_without_end_is_left_early(folder):
    """A gigabyte of zeros in a megabyte: no more than 200 MB is unpacked."""
    path = folder / "cifar-10-binary.tar.gz"
    part = gzip.compress(bytes(10**8), compresslevel=1)
    path.write_bytes(part * 10)
    before, started = peak_bytes(), time.process_time()
    (fault,) = told(folder)
    assert fault.what == f"{path} unpacks to more than 194,380,000 bytes, which CIFAR-10 has not"
    assert fault.mend.startswith(BAD_ARCHIVE)
    assert time.process_time() - started < 10
    assert peak_bytes() - before < 8 * 10**8


@pytest.mark.parametrize(
    ("num_bytes", "what"),
    [
        (0, "has 0 bytes, not a multiple of 3,073"),
        (1, "has 1 bytes, not a multiple of 3,073"),
        (10**12, "has 1,000,000,000,000 bytes, and a batch of CIFAR-10 at most 30,730,000"),
        (10_001 * RECORD, "has 30,733,073 bytes, and a batch of CIFAR-10 at most 30,730,000"),
    ],
)
def test_a_batch_that_cannot_be_one_by_its_size_is_not_read(num_bytes, what, folder):
    """A terabyte of holes takes no time."""
    for name in BATCHES:
        (folder / name).write_bytes(batch())
    os.truncate(folder / "data_batch_3.bin", num_bytes)
    (fault,) = told(folder)
    assert fault.what == f"{folder}/data_batch_3.bin {what}"
    assert fault.mend == f"copy it again, or {MEND}"


@pytest.fixture
def sorted_by_label(folder) -> str:
    """Four images of class 0, then two of class 1."""
    images, labels = struct(*[GOOD] * 6), pa.array([0, 0, 0, 0, 1, 1])
    write(folder / "train.parquet", ("img", images), ("label", labels))
    write(folder / TEST)
    return str(folder)


@pytest.mark.parametrize("num_train", [1, 4])
def test_what_is_left_of_a_cut_is_checked_like_the_whole(num_train, sorted_by_label):
    """Data sorted by label have one class where the cut is; a plan says so, not each trial."""
    document = SWEEP | {"dataset": {"name": "cifar10", "num_train": num_train}}
    with pytest.raises(UserError) as error:
        check_sweep(document, "a.yaml", sorted_by_label)
    (fault,) = error.value.faults
    assert fault == Fault(
        f"all {num_train} training examples are of class 0",
        "a.yaml, dataset.num_train",
        "use more of the data, or shuffle them before they are cut",
    )
    check_sweep(SWEEP | {"dataset": {"name": "cifar10", "num_train": 5}}, "a.yaml", sorted_by_label)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"loss": "kdl"}, "no loss named 'kdl'"),
        ({"seeds": 0}, "seeds is 0, not"),
        ({"dataset": {"name": "cifar10", "num_train": 60_000}}, "num_train is 60,000, but the data set has 50,000"),
        ({"grid": {"batch_size": [50_001], "learning_rate": [0.1]}}, "a batch of 50001 is larger than the 50000 training"),
        ({"measure": [{"name": "fork", "sampler": "shuffle"}], "grid": {"batch_size": [50_000], "learning_rate": [0.1]}},
         "shuffled batches of all 50000 training examples have no noise"),
    ],
)  # fmt: skip
def test_nothing_is_downloaded_before_the_faults_of_the_file_are_told(change, what, monkeypatch):
    """What is known of the official archive is enough to judge them."""
    monkeypatch.setattr(cifar10, "fetch_archive", None)
    with pytest.raises(UserError) as error:
        check_sweep(SWEEP | change, "a.yaml", None)
    (fault,) = error.value.faults
    assert fault.what.startswith(what)
    assert fault.where.startswith("a.yaml, ")


def test_nothing_is_downloaded_where_the_store_or_an_option_is_at_fault(tmp_path, monkeypatch):
    """They are told without it; a sweep without a fault asks for the archive."""
    asked = []

    def fetch(folder: Path) -> Path:
        asked.append(folder)
        raise UserError([Fault("asked for", "here", "no")])

    monkeypatch.setattr(cifar10, "fetch_archive", fetch)
    monkeypatch.chdir(tmp_path)
    for options in (Options("ftp://a"), Options("store", checkpoint_seconds=float("nan"))):
        with pytest.raises(UserError) as error:
            prepare("paper-kld", options)
        assert len(error.value.faults) == 1
    assert not asked
    with pytest.raises(UserError, match="asked for"):
        prepare("paper-kld", Options("store"))
    assert len(asked) == 1
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
