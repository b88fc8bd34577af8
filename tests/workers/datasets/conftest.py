"""A small CIFAR-10 of random pixels, in every layout that is read; the cache in a fresh folder."""

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

BATCHES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the cache of every test apart."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINIMA_CACHE", str(folder))
    return folder


@dataclass(frozen=True)
class SmallCifar10:
    """Five training batches and one test batch of four examples each."""

    images: np.ndarray  # [24, 32, 32, 3] uint8
    labels: np.ndarray  # [24]

    def records(self, batch: int) -> bytes:
        """One batch in the official binary layout."""
        rows = slice(4 * batch, 4 * batch + 4)
        planes = self.images[rows].transpose(0, 3, 1, 2).reshape(4, -1)
        labels = self.labels[rows, np.newaxis].astype(np.uint8)
        return np.concatenate([labels, planes], axis=1).tobytes()

    def write_binary(self, folder: Path) -> Path:
        """Write the extracted files."""
        folder.mkdir(parents=True, exist_ok=True)
        for batch, name in enumerate(BATCHES):
            (folder / name).write_bytes(self.records(batch))
        return folder

    def archive(self, prefix: str = "cifar-10-batches-bin/") -> bytes:
        """Give the archive's bytes."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for batch, name in enumerate(BATCHES):
                member = tarfile.TarInfo(prefix + name)
                member.size = len(self.records(batch))
                archive.addfile(member, io.BytesIO(self.records(batch)))
        return content.getvalue()

    def write_archive(self, folder: Path) -> Path:
        """Write the archive."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cifar-10-binary.tar.gz").write_bytes(self.archive())
        return folder

    def write_parquet(self, folder: Path) -> Path:
        """Write the Hugging Face layout, the training split in two shards, as PNG."""
        folder.mkdir(parents=True, exist_ok=True)
        shards = {
            "train-00000-of-00002": slice(0, 12),
            "train-00001-of-00002": slice(12, 20),
            "test-00000-of-00001": slice(20, 24),
        }
        for name, rows in shards.items():
            encoded = [png(image) for image in self.images[rows]]
            write_parquet_file(folder / f"{name}.parquet", encoded, self.labels[rows].tolist())
        return folder


def png(image: np.ndarray) -> bytes:
    """Encode an image without loss."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return content.getvalue()


def write_parquet_file(path: Path, encoded: list[bytes | None], labels: list[int | None]) -> None:
    """Write one file of the Hugging Face layout."""
    images = [{"bytes": content, "path": None} for content in encoded]
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"img": pa.array(images, image_type), "label": pa.array(labels, pa.int64())}
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def small_cifar10() -> SmallCifar10:
    """Random pixels and labels, the same each time."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    return SmallCifar10(images, generator.integers(0, 10, 24))


@pytest.fixture
def encode_png() -> Callable[[np.ndarray], bytes]:
    """The encoder, for tests that make their own files."""
    return png


@pytest.fixture
def parquet_writer() -> Callable[[Path, list[bytes | None], list[int | None]], None]:
    """The writer, for tests that make their own files."""
    return write_parquet_file


@pytest.fixture
def real_cifar10() -> Path:
    """A folder with the real images, or a skip that says how to give one."""
    beside = Path(__file__).parents[3].parent / "shared" / "data" / "cifar10"
    folder = Path(os.environ.get("MINIMA_CIFAR10_DIR", beside))
    if not folder.is_dir():
        pytest.skip(f"no CIFAR-10 in {folder}; set MINIMA_CIFAR10_DIR to a folder that holds it")
    return folder
