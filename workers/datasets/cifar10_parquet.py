"""CIFAR-10 as Parquet in the layouts of the Hugging Face hub: encoded images, and labels in `label`.

A file's footer says how much it stands for, and nothing is decoded that CIFAR-10 cannot be.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers.contract.errors import Fault, UserError, shortened
from workers.datasets.cifar10_files import MEND
from workers.datasets.dataset import Split, one_hot

if TYPE_CHECKING:
    from types import ModuleType

NUM_CLASSES = 10

_SHAPE = (32, 32, 3)
_IMAGE_COLUMNS = ("img", "image")
_MOST_ROWS = 60_000
"""A split has 50,000 or 10,000; all that CIFAR-10 has, divided otherwise, is no more than this."""
_MOST_IMAGE_BYTES = 16_384
"""An image of 32 × 32 colours is 3,072 bytes plain; the rest is for what the format adds."""
_BATCH_ROWS = 1024
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What PyArrow raises of a damaged file: a column's name may be no text."""
_READ_FORMATS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\x93NUMPY": "NumPy",
}
_SAVE_AS_PNG = "save the images as PNG, which loses nothing"
_EMBED = "write the files with the images' bytes in them, as `datasets`' push_to_hub does"


@dataclass(frozen=True)
class _ShardFile:
    """A file whose columns are right, and which stands for no more than it may.

    `image` is the path of the column with the encoded images, `name` of the one with their paths, if any.
    """

    path: Path
    num_rows: int
    image: str
    name: str | None


def read_parquet(paths: Sequence[Path]) -> Split:
    """Decode one split from its files, in the order given.

    Returns:
        Inputs [N, 32, 32, 3] uint8 and one-hot targets [N, 10].

    Raises:
        UserError: A file is unreadable, lacks a column or has one twice, holds more than CIFAR-10 can,
            or a bad image or label.
    """
    files = [_opened(path) for path in paths]
    num_rows = sum(file.num_rows for file in files)
    if num_rows > _MOST_ROWS:
        names = shortened(", ".join(str(path) for path in paths), 200)
        fault = f"holds {num_rows:,} rows, and all of CIFAR-10 is {_MOST_ROWS:,} images"
        raise _bad(names, fault)
    inputs = np.empty((num_rows, *_SHAPE), dtype=np.uint8)
    labels = np.empty(num_rows, dtype=np.int64)
    start = 0
    for file in files:
        rows = slice(start, start + file.num_rows)
        _read(file, inputs[rows], labels[rows])
        start = rows.stop
    return Split(inputs, one_hot(labels, NUM_CLASSES))


def _opened(path: Path) -> _ShardFile:
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pandas
            image, name = _columns(path, file.schema_arrow)
            num_rows, num_bytes = file.metadata.num_rows, _uncompressed(file.metadata)
    except _UNREADABLE as error:
        raise _bad(path, f"cannot be read as Parquet: {error}") from error
    if num_rows == 0:
        raise _bad(path, "holds no rows")
    if num_bytes > num_rows * _MOST_IMAGE_BYTES:
        told = f"holds {num_bytes:,} bytes in {num_rows:,} rows"
        raise _bad(path, f"{told}; an image of CIFAR-10 has at most {_MOST_IMAGE_BYTES:,}")
    return _ShardFile(path, num_rows, image, name)


def _columns(path: Path, schema: pa.Schema) -> tuple[str, str | None]:
    """Find the column of images and that of their paths; refuse other columns than those of the hub."""
    images = [field for field in schema if field.name in _IMAGE_COLUMNS]
    labels = [field for field in schema if field.name == "label"]
    for fields in (images, labels):
        if len(fields) > 1:
            names = ", ".join(field.name for field in fields)
            raise _bad(path, f"has {len(fields)} columns where one is wanted: {names}")
    if len(images) == len(labels) == 1 and pa.types.is_integer(labels[0].type):
        image = images[0].type
        parts = list(image) if pa.types.is_struct(image) else []
        contents = [part for part in parts if part.name == "bytes"]
        named = [part for part in parts if part.name == "path" and pa.types.is_string(part.type)]
        if _is_binary(image):
            return images[0].name, None
        if len(contents) == 1 and _is_binary(contents[0].type):
            path_column = f"{images[0].name}.path" if len(named) == 1 else None
            return f"{images[0].name}.bytes", path_column
    columns = shortened(", ".join(f"{field.name} ({field.type})" for field in schema), 300)
    wanted = "img or image (bytes, or struct with bytes) and label (integer)"
    raise _bad(path, f"has the columns {columns}, not {wanted}")


def _is_binary(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_binary(value) or pa.types.is_large_binary(value)


def _uncompressed(metadata: pq.FileMetaData) -> int:
    """Sum what the rows unpack to, by the footer; a value that stands repeatedly may be counted once.

    Of whole row groups: PyArrow 26 ends the process where it is asked for a column of a damaged footer.
    """
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    return sum(group.total_byte_size for group in groups)


def _read(file: _ShardFile, inputs: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
    """Decode a file into its rows, a batch at a time; values that stand repeatedly stay one in memory."""
    from PIL import Image  # here, so that a planner with cached facts need not import it

    columns = [name for name in (file.image, file.name) if name is not None]
    try:
        with (
            pq.ParquetFile(file.path, read_dictionary=columns) as opened,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            start = 0
            for batch in opened.iter_batches(_BATCH_ROWS, columns=[*columns, "label"]):
                first, start = start, start + batch.num_rows
                if start > file.num_rows:
                    break
                labels[first:start] = _labels(file.path, batch, first)
                for row, (content, name) in enumerate(_encoded(file, batch), first):
                    inputs[row] = _image(Image, file.path, row, content, name)
    except _UNREADABLE as error:
        raise _bad(file.path, f"cannot be read as Parquet: {error}") from error
    if start != file.num_rows:
        raise _bad(file.path, f"has other rows than the {file.num_rows:,} that its footer tells")


def _encoded(file: _ShardFile, batch: pa.RecordBatch) -> Iterator[tuple[bytes | None, str | None]]:
    """Yield each row's encoded image, or the path where there is none."""
    column, *part = file.image.split(".")
    images = batch.column(column)
    contents = pc.struct_field(images, "bytes") if part else images
    names = pc.struct_field(images, "path") if file.name else None
    for row, content in enumerate(contents):
        encoded = content.as_py()
        yield encoded, names[row].as_py() if encoded is None and names is not None else None


def _image(
    pillow: ModuleType, path: Path, row: int, content: bytes | None, name: str | None
) -> npt.NDArray[np.uint8]:
    place = f"{path}, row {row}"
    if content is None:
        told = f"no bytes, only the path {shortened(name)!r}" if name else "no bytes"
        raise _bad(place, f"has {told}", _EMBED)
    if len(content) > _MOST_IMAGE_BYTES:
        raise _bad(
            place,
            f"has {len(content):,} bytes, and an image of CIFAR-10 at most {_MOST_IMAGE_BYTES:,}",
        )
    kind = next((kind for start, kind in _READ_FORMATS.items() if content.startswith(start)), None)
    if kind is None:
        raise _bad(place, f"is {_other_format(content)}; PNG and JPEG are read", _SAVE_AS_PNG)
    try:
        with pillow.open(io.BytesIO(content), formats=(kind,)) as image:
            size, mode = image.size, image.mode
            if size == _SHAPE[:2] and mode == "RGB":
                return np.asarray(image)
    except pillow.UnidentifiedImageError as error:
        raise _bad(place, f"is a damaged {kind}") from error
    except Exception as error:  # Pillow raises anything on damaged bytes
        raise _bad(place, f"is a damaged {kind}: {error}") from error
    raise _bad(place, f"has {size[0]} × {size[1]} pixels of mode {mode}, not 32 × 32 of RGB")


def _other_format(content: bytes) -> str:
    if not content:
        return "empty"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "WebP"
    known = (kind for start, kind in _OTHER_FORMATS.items() if content.startswith(start))
    return next(known, f"no image that is known: it begins with {content[:8]!r}")


def _labels(path: Path, batch: pa.RecordBatch, start: int) -> npt.NDArray[np.int64]:
    column = batch.column("label")
    if column.null_count:
        raise _bad(path, f"has {column.null_count} rows without a label")
    values = column.to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((values < 0) | (values >= NUM_CLASSES))
    if wrong.size:
        row = int(wrong[0])
        raise _bad(path, f"has the label {values[row]} in row {start + row}; labels are 0 to 9")
    labels: npt.NDArray[np.int64] = values.astype(np.int64)
    return labels


def _bad(place: Path | str, fault: str, cure: str = "replace it") -> UserError:
    return UserError([Fault(f"{place} {fault}", "--data-dir", f"{cure}, or {MEND}")])
