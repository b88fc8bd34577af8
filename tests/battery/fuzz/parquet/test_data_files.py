"""Random damages of a user's Parquet files: each is loaded, or refused with the file's name."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from workers.contract.errors import UserError
from workers.datasets.checked.loading import load_dataset
from workers.datasets.cifar10 import Cifar10Spec
from workers.datasets.cifar10_parquet import read_parquet

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")


@dataclass(frozen=True)
class Case:
    """A file, and what was done to it."""

    told: list[str]
    content: bytes = field(repr=False)


def images(kind: str) -> list[bytes]:
    """Encode six images of random pixels."""
    draw, contents = np.random.default_rng(0), []
    for _ in range(6):
        content = io.BytesIO()
        pixels = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(content, format=kind)
        contents.append(content.getvalue())
    return contents


def table(contents: list[bytes]) -> pa.Table:
    """As the hub has it."""
    rows = [{"bytes": content, "path": f"{row}.png"} for row, content in enumerate(contents)]
    return pa.table({"img": pa.array(rows, STRUCT), "label": [0, 1, 2, 0, 1, 9]})


@pytest.mark.parametrize("byte", [0, 255])
def test_any_byte_of_the_footer_may_be_another(byte, tmp_path):
    """A column's name that is no text, a count of rows that is wrong, levels that do not fit their column."""
    content, path = pa.BufferOutputStream(), tmp_path / "train.parquet"
    pq.write_table(pa.table({"img": [b"x"] * 2, "label": [0, 1]}), content, store_schema=False)
    sound = content.getvalue().to_pybytes()
    length = int.from_bytes(sound[-8:-4], "little")
    for place in range(len(sound) - 8 - length, len(sound)):
        path.write_bytes(sound[:place] + bytes([byte]) + sound[place + 1 :])
        with pytest.raises(UserError, match=f"{path}(, row 0)? (is|has|holds|cannot be read)"):
            read_parquet([path])


@pytest.mark.parametrize("told", [5, 7])
def test_a_footer_that_tells_other_rows_is_refused(told, tmp_path):
    """More or fewer than there are: nothing is made up, and nothing left out."""
    content, path = pa.BufferOutputStream(), tmp_path / "train.parquet"
    pq.write_table(table(images("PNG")), content, store_schema=False)
    sound = content.getvalue().to_pybytes()
    root = sound.index(b"label") + len("label")
    place = (
        sound.index(b"\x16\x0c", root) + 1
    )  # the first count of rows, as a variable-length integer
    path.write_bytes(sound[:place] + bytes([2 * told]) + sound[place + 1 :])
    assert pq.ParquetFile(path).metadata.num_rows == told
    with pytest.raises(UserError, match=f"has other rows than the {told} that its footer tells"):
        read_parquet([path])


def test_data_files(tmp_path, fuzz, with_other_columns, written, with_other_bytes):
    """Of their columns, metadata and bytes, and of the images in them."""
    sound = {kind: images(kind) for kind in ("PNG", "JPEG")}
    place = tmp_path / "data"
    place.mkdir()
    for name in NAMES:
        pq.write_table(table(sound["PNG"]), place / name)

    def draw_case(draw: random.Random) -> Case:
        contents, told = [*sound[draw.choice(["PNG", "JPEG"])]], []
        if draw.random() < 0.4:
            row = draw.randrange(6)
            contents[row], what = with_other_bytes(contents[row], draw)
            told += [f"image {row}, {what}"]
        made = table(contents)
        for _ in range(draw.choice([0, 0, 1, 1, 2])):
            made, what = with_other_columns(made, draw)
            told += [what]
        content, what = written(made, {}, draw)
        told += [what]
        for _ in range(draw.choice([0, 0, 1, 2])):
            content, what = with_other_bytes(content, draw)
            told += [what]
        return Case(told, content)

    def attempt(case: Case) -> None:
        path = place / NAMES[0]
        path.write_bytes(case.content)
        error = fault_of(place)
        assert error is None or is_named(path, error), error

    fuzz("data files", draw_case, attempt)


def fault_of(place: Path) -> UserError | None:
    try:
        load_dataset(Cifar10Spec(), str(place))
    except UserError as error:
        return error
    return None


def is_named(path: Path, error: UserError) -> bool:
    """Whether each fault tells the file, or is of the examples in it."""
    return all(
        str(path) in fault.what or "training" in fault.what or "num_train" in fault.what
        for fault in error.faults
    )
