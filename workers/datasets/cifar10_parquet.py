"""CIFAR-10 as Parquet in the Hugging Face layout: encoded images in `img.bytes`, labels in `label`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers.contract.errors import UserError, user_error
from workers.datasets.cifar10_files import MEND
from workers.datasets.dataset import Split, one_hot

if TYPE_CHECKING:
    from types import ModuleType

NUM_CLASSES = 10
_SHAPE = (32, 32, 3)


def read_parquet(paths: Sequence[Path]) -> Split:
    """Decode one split from its files, in the order given.

    Returns:
        Inputs [N, 32, 32, 3] uint8 and one-hot targets [N, 10].

    Raises:
        UserError: A file is unreadable, lacks a column, or holds a bad image or label.
    """
    parts = [_read_file(path) for path in paths]
    inputs = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    return Split(inputs, one_hot(labels, NUM_CLASSES))


def _read_file(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pandas
            _refuse_wrong_columns(path, file.schema_arrow)
            table = file.read(columns=["img.bytes", "label"])
    except (pa.ArrowException, OSError) as error:
        raise _bad_file(path, f"cannot be read as Parquet: {error}") from error
    if table.num_rows == 0:
        raise _bad_file(path, "holds no rows")
    encoded = pc.struct_field(table.column("img"), "bytes").to_pylist()
    return _decode_images(path, encoded), _labels(path, table)


def _refuse_wrong_columns(path: Path, schema: pa.Schema) -> None:
    image = schema.field("img").type if "img" in schema.names else None
    has_bytes = (
        image is not None and pa.types.is_struct(image) and image.get_field_index("bytes") >= 0
    )
    has_label = "label" in schema.names and pa.types.is_integer(schema.field("label").type)
    if not (has_bytes and has_label):
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        wanted = "img (struct with bytes) and label (integer)"
        raise _bad_file(path, f"has the columns {columns}, not {wanted}")


def _decode_images(path: Path, encoded: Sequence[bytes | None]) -> npt.NDArray[np.uint8]:
    from PIL import Image  # here, so that a planner with cached facts need not import it

    images = np.empty((len(encoded), *_SHAPE), dtype=np.uint8)
    for row, content in enumerate(encoded):
        try:
            images[row] = _decode_image(Image, content or b"")
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises on damaged bytes
            raise _bad_file(path, f"has a bad image in row {row}: {error}") from error
    return images


def _decode_image(pillow: ModuleType, content: bytes) -> npt.NDArray[np.uint8]:
    with pillow.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
        if image.size != _SHAPE[:2] or image.mode != "RGB":
            width, height = image.size
            raise ValueError(f"{width} × {height} pixels of mode {image.mode}, not 32 × 32 of RGB")
        return np.asarray(image)


def _labels(path: Path, table: pa.Table) -> npt.NDArray[np.int64]:
    column = table.column("label")
    if column.null_count:
        raise _bad_file(path, f"has {column.null_count} rows without a label")
    labels: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if wrong.size:
        row = int(wrong[0])
        raise _bad_file(path, f"has the label {labels[row]} in row {row}; labels are 0 to 9")
    return labels


def _bad_file(path: Path, fault: str) -> UserError:
    return user_error(f"{path} {fault}", where="--data-dir", mend=f"replace it, or {MEND}")
