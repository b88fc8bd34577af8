"""Which files of a folder are taken as CIFAR-10, and what is said of those that are not."""

import os
from pathlib import Path

import pytest

from workers.contract.errors import UserError
from workers.datasets.cifar10_files import MEND, find_source


def message(data_dir: Path) -> str:
    with pytest.raises(UserError) as caught:
        find_source(data_dir)
    return str(caught.value)


def test_the_archive_is_taken_first(small_cifar10, tmp_path):
    """A folder with an archive and Parquet files is read from the archive."""
    small_cifar10.write_parquet(tmp_path)
    small_cifar10.write_archive(tmp_path)
    source = find_source(tmp_path)
    assert source.kind == "archive"
    assert [path.name for path in source.train] == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_extracted_files_are_found_in_the_folder_or_below(below, small_cifar10, tmp_path):
    """The six files may lie in the folder itself or in the folder the archive makes."""
    small_cifar10.write_binary(tmp_path / below)
    source = find_source(tmp_path)
    assert source.kind == "binary"
    assert [path.name for path in source.train] == [f"data_batch_{n}.bin" for n in range(1, 6)]
    assert [path.name for path in source.test] == ["test_batch.bin"]


@pytest.mark.parametrize("below", ["", "plain_text"])
def test_parquet_is_found_in_the_folder_or_below(below, small_cifar10, tmp_path):
    """Shards are taken in the order of their numbers; hidden folders are passed over."""
    small_cifar10.write_parquet(tmp_path / below)
    small_cifar10.write_parquet(tmp_path / ".cache")
    source = find_source(tmp_path)
    assert source.kind == "parquet"
    assert [path.name for path in source.train] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]


def test_the_key_changes_with_a_files_time_and_not_without(small_cifar10, tmp_path):
    """Facts and decoded arrays are kept under path, size and time of change."""
    small_cifar10.write_binary(tmp_path)
    before = find_source(tmp_path).key()
    assert find_source(tmp_path).key() == before
    os.utime(tmp_path / "test_batch.bin", ns=(1, 1))
    assert find_source(tmp_path).key() != before


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """The message gives the path and every layout that is read."""
    assert message(tmp_path / "gone") == (
        f"{tmp_path}/gone does not exist\n  where: --data-dir\n  mend:  {MEND}"
    )


def test_a_file_in_place_of_the_folder_is_named(small_cifar10, tmp_path):
    """Giving the archive itself is answered with the layouts that are read."""
    small_cifar10.write_archive(tmp_path)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    assert f"{archive} is not a folder" in message(archive)


def test_a_folder_that_cannot_be_looked_through_is_named_with_the_cause(tmp_path):
    """A name that is too long, a loop of links, a folder without rights."""
    told = message(tmp_path / ("a" * 300))
    assert f"/{'a' * 300} cannot be looked through: [Errno 36] File name too long" in told


def test_an_empty_folder_and_a_strange_one_say_what_they_hold(tmp_path):
    """What was found is in the message, up to eight names."""
    assert f"no CIFAR-10 in {tmp_path}, which holds nothing\n" in message(tmp_path)
    for number in range(9):
        (tmp_path / f"file{number}").touch()
    assert "holds file0, file1, file2, file3, file4, file5, file6, file7, …\n" in message(tmp_path)


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py", "batches.meta"])
def test_pickles_are_refused_with_the_cure(name, tmp_path):
    """The Python version is never opened."""
    (tmp_path / name).write_bytes(b"cposix\nsystem\n")
    told = message(tmp_path)
    assert f"{tmp_path} holds {name}, the Python version of CIFAR-10; it is made of pickles" in told
    assert "download the archive" in told


def test_missing_batches_are_all_named(small_cifar10, tmp_path):
    """An incomplete copy is told from an empty folder."""
    small_cifar10.write_binary(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    (tmp_path / "test_batch.bin").unlink()
    assert f"{tmp_path} lacks data_batch_3.bin, test_batch.bin\n" in message(tmp_path)


def test_missing_shards_are_all_named(small_cifar10, tmp_path):
    """A name such as train-00000-of-00002 announces the others."""
    small_cifar10.write_parquet(tmp_path)
    (tmp_path / "train-00001-of-00002.parquet").unlink()
    assert f"{tmp_path} lacks train-00001-of-00002.parquet\n" in message(tmp_path)


def test_parquet_without_a_test_split_is_refused(small_cifar10, tmp_path):
    """Both splits are needed."""
    small_cifar10.write_parquet(tmp_path)
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    assert f"{tmp_path} holds no test*.parquet" in message(tmp_path)


def test_two_parquet_data_sets_are_not_chosen_between(small_cifar10, tmp_path):
    """The user says which."""
    small_cifar10.write_parquet(tmp_path / "a")
    small_cifar10.write_parquet(tmp_path / "b")
    told = message(tmp_path)
    assert f"more than one data set of Parquet files: {tmp_path}/a, {tmp_path}/b" in told
    assert "give one of these folders" in told
