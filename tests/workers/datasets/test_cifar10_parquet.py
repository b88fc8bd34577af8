"""CIFAR-10 in the Hugging Face layout: what is decoded, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.contract.errors import UserError
from workers.datasets.cifar10_parquet import read_parquet


def message(path) -> str:
    with pytest.raises(UserError) as caught:
        read_parquet([path])
    (fault,) = caught.value.faults
    assert fault.where == "--data-dir"
    assert ", or give a folder that holds cifar-10-binary.tar.gz" in fault.mend
    return fault.what


def test_shards_are_decoded_in_order(small_cifar10, tmp_path):
    """PNG is without loss, so every pixel comes back."""
    small_cifar10.write_parquet(tmp_path)
    split = read_parquet(sorted(tmp_path.glob("train*")))
    np.testing.assert_array_equal(split.inputs, small_cifar10.images[:20])
    np.testing.assert_array_equal(split.targets.argmax(axis=1), small_cifar10.labels[:20])
    assert split.inputs.dtype == np.uint8


def test_other_columns_and_narrow_labels_are_welcome(small_cifar10, encode_png, tmp_path):
    """Only img.bytes and label are read, whatever integer type labels have."""
    path = tmp_path / "train.parquet"
    images = [{"bytes": encode_png(image)} for image in small_cifar10.images[:2]]
    columns = {"extra": ["a", "b"], "img": images, "label": pa.array([3, 4], pa.int8())}
    pq.write_table(pa.table(columns), path)
    assert read_parquet([path]).targets.argmax(axis=1).tolist() == [3, 4]


def test_wrong_columns_are_listed_beside_the_right_ones(tmp_path):
    """A data set of another layout is named by its columns."""
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"img": pa.array([b""]), "fine_label": [1]}), path)
    assert message(path) == (
        f"{path} has the columns img (binary), fine_label (int64), "
        "not img or image (bytes, or struct with bytes) and label (integer)"
    )


def test_bytes_that_are_not_parquet_are_named(tmp_path):
    """An HTML page saved under the name is refused."""
    path = tmp_path / "train.parquet"
    path.write_text("<html>")
    assert message(path).startswith(f"{path} cannot be read as Parquet: ")


def test_an_empty_file_is_refused(parquet_writer, tmp_path):
    """No rows is not a data set."""
    path = tmp_path / "train.parquet"
    parquet_writer(path, [], [])
    assert message(path) == f"{path} holds no rows"


def test_images_that_cannot_be_decoded_are_named_by_row(
    small_cifar10, encode_png, parquet_writer, tmp_path
):
    """Null, damaged, cut, of a wrong size, and grey images are all refused."""
    good = encode_png(small_cifar10.images[0])
    path = tmp_path / "train.parquet"
    for bad, told in (
        (None, "has no bytes"),
        (b"", "is empty; PNG and JPEG are read"),
        (
            b"not an image",
            "is no image that is known: it begins with b'not an i'; PNG and JPEG are read",
        ),
        (good[:-400], "is a damaged PNG: image file is truncated"),
        (good[:50], "is a damaged PNG"),
        (b"RIFF....WEBPVP8 ", "is WebP; PNG and JPEG are read"),
        (b"GIF89a" + bytes(50), "is GIF; PNG and JPEG are read"),
        (good + bytes(20_000), "and an image of CIFAR-10 at most 16,384"),
        (
            encode_png(small_cifar10.images[0][:28, :30]),
            "has 30 × 28 pixels of mode RGB, not 32 × 32 of RGB",
        ),
        (
            encode_png(small_cifar10.images[0][..., 0]),
            "has 32 × 32 pixels of mode L, not 32 × 32 of RGB",
        ),
    ):
        parquet_writer(path, [good, bad], [1, 2])
        assert message(path).startswith(f"{path}, row 1 ")
        assert told in message(path)
        assert " at 0x" not in message(path)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_out_of_range_are_named_by_row(
    label, small_cifar10, encode_png, parquet_writer, tmp_path
):
    """Labels are 0 to 9."""
    path = tmp_path / "train.parquet"
    parquet_writer(path, [encode_png(image) for image in small_cifar10.images[:2]], [0, label])
    assert message(path) == f"{path} has the label {label} in row 1; labels are 0 to 9"


def test_missing_labels_are_counted(small_cifar10, encode_png, parquet_writer, tmp_path):
    """A null label is not a class."""
    path = tmp_path / "train.parquet"
    parquet_writer(path, [encode_png(image) for image in small_cifar10.images[:2]], [None, 1])
    assert message(path) == f"{path} has 1 rows without a label"
