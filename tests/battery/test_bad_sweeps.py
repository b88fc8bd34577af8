"""What is wrong with sweep files and overrides, one row an input: what is told, where, and how to mend it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.planning.checks import check_sweep
from orchestrator.planning.prepare import Options, prepare
from orchestrator.planning.sweep import read_sweep
from workers.contract.errors import Fault, UserError

SOUND = {
    "name": "tiny",
    "model": "{name: mlp, hidden_units: [8]}",
    "dataset": "{name: digits, num_train: 100, num_test: 50}",
    "loss": "kld",
    "grid": "{batch_size: [10], learning_rate: [0.1]}",
    "seeds": "1",
    "training": "{epochs: 1}",
    "measure": "[losses]",
    "resources": "{gpus: 0, cpus: 1}",
}
LEFT_IN = "a template was left in: fill in its values first; text with braces stands in quotes"
COUNT = "a whole number ≥ 1 and ≤ 1000000000"
SEEDS = (
    "a whole number ≥ 1 and ≤ 10000"
    " or a list of 1 to 10000, each a whole number ≥ 0 and < 2147483648"
)
NAME = "text of the pattern ^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
GPUS = "give 0, a whole number, or a share 1/n of one device such as 1/2"

# key → YAML written there → what is told, the place below the file, how to mend it
VALUES: list[tuple[str, str, str, str, str]] = [
    # numbers of YAML 1.1
    ("grid.batch_size", "[1_000]", f"batch_size[0] is '1_000', not {COUNT}", "grid.batch_size[0]",
     "write 1000, without quotes or underscores"),
    ("grid.batch_size", "[0b11]", f"batch_size[0] is '0b11', not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.batch_size", "[1:30]", f"batch_size[0] is '1:30', not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.batch_size", "['16']", f"batch_size[0] is '16', not {COUNT}", "grid.batch_size[0]",
     "write 16, without quotes or underscores"),
    ("grid.batch_size", "[1e1]", f"batch_size[0] is 10.0, not {COUNT}", "grid.batch_size[0]", "write 10"),
    ("grid.batch_size", "[10.5]", f"batch_size[0] is 10.5, not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.batch_size", "[true]", f"batch_size[0] is true, not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.batch_size", "[.inf]", f"batch_size[0] is Infinity, not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.batch_size", "[]", f"batch_size is an empty list, not a list of at least 1, each {COUNT}", "grid.batch_size", f"give a list of at least 1, each {COUNT}"),
    ("grid.batch_size", "10", f"batch_size is 10, not a list of at least 1, each {COUNT}", "grid.batch_size", "write [10]"),
    ("grid.batch_size", "[10, 10]", "batch_size holds 10 twice", "grid", "give each once"),
    ("grid.batch_size", "[101]", "a batch of 101 is larger than the 100 training examples", "grid.batch_size[0]", "at most 100"),
    ("grid.batch_size", "[0]", f"batch_size[0] is 0, not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.batch_size", "[-0x10]", f"batch_size[0] is '-0x10', not {COUNT}", "grid.batch_size[0]", f"give {COUNT}"),
    ("grid.learning_rate", "0.1", "learning_rate is 0.1, not a list of at least 1, each a number > 0", "grid.learning_rate", "write [0.1]"),
    ("grid.learning_rate", "['0.1']", "learning_rate[0] is '0.1', not a number > 0", "grid.learning_rate[0]", "write 0.1, without quotes or underscores"),
    ("grid.learning_rate", "[.nan]", "learning_rate[0] is NaN, not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[.inf]", "learning_rate[0] is Infinity, not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[-0.1]", "learning_rate[0] is -0.1, not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[0]", "learning_rate[0] is 0, not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[0,1]", "learning_rate[0] is 0, not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[1/2]", "learning_rate[0] is '1/2', not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[0.1e]", "learning_rate[0] is '0.1e', not a number > 0", "grid.learning_rate[0]", "give a number > 0"),
    ("grid.learning_rate", "[0.1, 1e-1]", "learning_rate holds 0.1 twice", "grid", "give each once"),
    ("grid.learning_rate", "[0.1, 0.10000000000000002]",
     "learning_rate holds 0.1 and 0.10000000000000002, which tables show alike, as 0.1", "grid",
     "keep one of them, or give rates that differ in their first six digits"),
    ("grid.learning_rate", "[0.1, 0.2, 0.1000001]",
     "learning_rate holds 0.1 and 0.1000001, which tables show alike, as 0.1", "grid",
     "keep one of them, or give rates that differ in their first six digits"),
    ("pairs", "[[10, 0.1], [20, 0.1000001]]", "learning_rate holds 0.1 and 0.1000001, which tables show alike, as 0.1",
     "pairs", "keep one of them, or give rates that differ in their first six digits"),
    ("seeds", "1:2", f"seeds is '1:2', not {SEEDS}", "seeds", f"give {SEEDS}"),
    ("seeds", "'3'", f"seeds is '3', not {SEEDS}", "seeds", "write 3, without quotes or underscores"),
    ("seeds", "1_0", f"seeds is '1_0', not {SEEDS}", "seeds", "write 10, without quotes or underscores"),
    ("seeds", "0", f"seeds is 0, not {SEEDS}", "seeds", f"give {SEEDS}"),
    ("seeds", "10001", f"seeds is 10001, not {SEEDS}", "seeds", f"give {SEEDS}"),
    ("seeds", "1.0", f"seeds is 1.0, not {SEEDS}", "seeds", "write 1"),
    ("seeds", "[1, 1]", "seeds holds 1 twice", "seeds", "give each once"),
    ("seeds", "{a: 1}", f"seeds is a mapping of 1, not {SEEDS}", "seeds", f"give {SEEDS}"),
    ("resources.gpus", "1:2", "gpus is 1:2", "resources.gpus", GPUS),
    ("resources.gpus", "1e1000000000", "1e1000000000 is beyond what a number can hold, about 1e-323 to 1.8e308", "line 10, column 9", "write a number between"),
    ("resources.gpus", "'1e1000000000'", "gpus is 1e1000000000", "resources.gpus", GPUS),
    ("resources.gpus", "1/0", "gpus is 1/0", "resources.gpus", GPUS),
    ("resources.gpus", "2/3", "gpus is 2/3", "resources.gpus", GPUS),
    ("resources.gpus", "-1", "gpus is -1", "resources.gpus", GPUS),
    ("resources.gpus", "1.5", "gpus is 1.5", "resources.gpus", GPUS),
    ("resources.gpus", "true", "gpus is True", "resources.gpus", GPUS),
    ("resources.gpus", "null", "gpus is None", "resources.gpus", GPUS),
    ("resources.gpus", "all", "gpus is all", "resources.gpus", GPUS),
    ("resources.gpus", ".inf", "gpus is inf", "resources.gpus", GPUS),
    ("resources.gpus", "[1]", "gpus is [1]", "resources.gpus", GPUS),
    ("resources.cpus", "1.5", f"cpus is 1.5, not {COUNT}", "resources.cpus", f"give {COUNT}"),
    # words of YAML 1.1
    ("training.convergence", "{stop: yes}", "stop is 'yes', not true or false", "training.convergence.stop", "write true"),
    ("training.convergence", "{stop: Off}", "stop is 'Off', not true or false", "training.convergence.stop", "write false"),
    ("training.convergence", "{stop: 1}", "stop is 1, not true or false", "training.convergence.stop", "give true or false"),
    # a mapping in place of a name, a name in place of a mapping
    ("loss", "{name: kld}", "loss is a mapping of 1, not text", "loss", "write loss: kld"),
    ("loss", "{name: {a: 1}}", "loss is a mapping of 1, not text", "loss", "give text"),
    ("loss", "[kld]", "loss is a list of 1, not text", "loss", "give text"),
    ("loss", "null", "loss is null, not text", "loss", "give text"),
    ("loss", "kdl", "no loss named 'kdl'", "loss", "did you mean 'kld'? Known: gradlog_l1, gradlog_l2, kld, squared_error. Your own: \"package.module:function\""),
    ("name", "{name: a}", f"name is a mapping of 1, not {NAME}", "name", "write name: a"),
    ("name", "2024", f"name is 2024, not {NAME}", "name", "write '2024'"),
    ("name", "a b", f"name is 'a b', not {NAME}", "name", f"give {NAME}"),
    ("name", "../a", f"name is '../a', not {NAME}", "name", f"give {NAME}"),
    ("model", "mlp", "model is 'mlp', not a mapping with a name", "model", "write {name: …}. Known: mlp, resnet."),
    ("model", "{hidden_units: [8]}", "the model has no name", "model", "add name: … Known: mlp, resnet."),
    ("model", "{name: mlp, hidden_units: 8}", f"hidden_units is 8, not a list, each {COUNT}", "model.hidden_units", "write [8]"),
    ("model", "{name: mlp, hidden: [8]}", "unknown key 'hidden'", "model.hidden", "did you mean 'hidden_units'? Known: hidden_units, name."),
    ("model", "{name: resnet, depth: 9}", "depth 9 is not 6n+2", "model.depth", "a CIFAR ResNet has 8, 14, 20, 32, 44, 56, 110, …"),
    ("dataset", "{name: digits, num_train: 2000}", "num_train is 2,000, but the data set has 1,437 training examples", "dataset.num_train", "give at most 1437, or null to use all"),
    ("dataset", "{name: digits, num_train: 0}", f"num_train is 0, not {COUNT} or null", "dataset.num_train", f"give {COUNT} or null"),
    ("dataset", "{name: digitz}", "no dataset named 'digitz'", "dataset.name", "did you mean 'digits'? Known: cifar10, digits, synthetic. Your own: \"package.module:function\""),
    # templates
    ("grid.learning_rate", "[{{ lr }}]", "a mapping stands where a key should", "line 7, column 20", LEFT_IN),
    ("seeds", "{{ n }}", "a mapping stands where a key should", "line 6, column 9", LEFT_IN),
    ("loss", "{% raw %}", "not YAML: while scanning for the next token, found character '%' that cannot start any token", "line 4, column 8", LEFT_IN),
    # schedules and statistics
    ("training", "{epochs: 2, milestones: [3]}", "milestone 3 is not before the end, epoch 2", "training", "lower it, remove it, or train longer"),
    ("training", "{epochs: 9, milestones: [3, 2]}", "milestones [3, 2] do not rise", "training", "give each epoch once"),
    ("training", "{epochs: 1, momentum: 1.0}", "momentum is 1.0, not a number ≥ 0 and < 1", "training.momentum", "give a number ≥ 0 and < 1"),
    ("training", "{epochs: 1, weight_decay: '1e-4'}", "weight_decay is '1e-4', not a number ≥ 0", "training.weight_decay", "write 1e-4, without quotes or underscores"),
    ("training", "[epochs]", "training is a list of 1, not a mapping with the keys epochs, milestones, decay, momentum, weight_decay, augmentation, sampler, ragged_batch, precision, convergence", "training",
     "give a mapping with the keys epochs, milestones, decay, momentum, weight_decay, augmentation, sampler, ragged_batch, precision, convergence"),
    ("measure", "losses", "measure is 'losses', not a list of at least 1, each a mapping with a name", "measure", "give a list of at least 1, each a mapping with a name"),
    ("measure", "[losses, losses]", "measure holds {\"name\":\"losses\",\"splits\":[\"train\",\"test\"],\"bn_mode\":\"frozen… twice", "measure", "give each once"),
    ("measure", "[{name: hessian, num_eigenpairs: 11, max_lanczos_steps: 10}]", "max_lanczos_steps 10 is below num_eigenpairs 11", "measure[0]", "raise the one or lower the other"),
    ("measure", "[{name: fork, sampler: shuffle, num_steps: 1}]", "num_steps 1 is too few for 5 windows, each half as long as the next", "measure[0]", "give at least 16 steps, or fewer windows"),
]  # fmt: skip

# documents that are no sweep, and what stands in the first line of the message
DOCUMENTS: list[tuple[str, str, str]] = [
    ("", "not a sweep: the file is empty", "`minima sweeps --show quickstart` prints one to start from"),
    ("# nothing\n", "not a sweep: the file is empty", "`minima sweeps --show quickstart` prints one to start from"),
    ("016", "not a sweep: the file holds a int", "`minima sweeps --show quickstart` prints one to start from"),
    ("- a", "not a sweep: the file holds a list", "`minima sweeps --show quickstart` prints one to start from"),
    ("a: b: c", "not YAML: mapping values are not allowed here", "mend the line"),
    ("a: [1", "not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'", "mend the line"),
    ("a: 1\na: 2", "not YAML: the key 'a' stands here twice", "keep one of them"),
    ("a: 1\n--- \nb: 1", "not YAML: expected a single document in the stream, but found another document", "mend the line"),
    ("a: \x07", "not YAML: unacceptable character #x0007: special characters are not allowed", "mend the line"),
    ("&a {b: *a}", "values nested more than 40 deep, or an anchor that holds itself", "a sweep needs no more than 10"),
    ("[" * 5000, "values nested more than 40 deep, or an anchor that holds itself", "a sweep needs no more than 10"),
    ("a: !!python/name:os.system x", "the tag !!python/name:os.system is not read here", "remove the tag"),
    ("x: &a 1\n<<: *a", "<< merges mappings, and this is none", "write <<: *anchor, or <<: [*one, *two]"),
]  # fmt: skip

# --set → what is told, and how to mend it
OVERRIDES: list[tuple[str, str, str]] = [
    ("seeds", "not of the form key.path=value", "for example --set training.epochs=5"),
    ("=1", "not of the form key.path=value", "for example --set training.epochs=5"),
    ("a..b=1", "not of the form key.path=value", "for example --set training.epochs=5"),
    (".".join("a" * 50) + "=1", "not of the form key.path=value", "for example --set training.epochs=5"),
    ("loss.name=kld", "'loss' holds a value, not keys", "--set loss=… replaces it"),
    ("measure.0=losses", "'measure' holds a value, not keys", "--set measure=… replaces it"),
    ("loss={{ loss }}", "a mapping stands where a key should", LEFT_IN),
    ("seeds=[1", "not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'", "mend the line"),
    ("seeds=1e1000", "1e1000 is beyond what a number can hold, about 1e-323 to 1.8e308", "write a number between"),
    ("seeds=!!int x", "'x' is no !!int", "remove the tag"),
    ("seeds=*a", "not YAML: found undefined alias 'a'", "mend the line"),
    ("seeds=1_0", f"seeds is '1_0', not {SEEDS}", "write 10, without quotes or underscores"),
    ("seeds=", f"seeds is null, not {SEEDS}", f"give {SEEDS}"),
    ("resources.gpus=1:2", "gpus is 1:2", GPUS),
    ("training.epochs=two", f"epochs is 'two', not {COUNT}", f"give {COUNT}"),
    ("training.epoch=2", "unknown key 'epoch'",
     "did you mean 'epochs'? Known: augmentation, convergence, decay, epochs, milestones, momentum, "
     "precision, ragged_batch, sampler, weight_decay."),
]  # fmt: skip


def written(changes: dict[str, str]) -> str:
    """Write the sound sweep as YAML, grid and resources in blocks, with some values replaced."""
    parts = dict(SOUND)
    blocks = {"grid": {"batch_size": "[10]", "learning_rate": "[0.1]"}, "resources": {"gpus": "0"}}
    for path, text in changes.items():
        top, _, key = path.partition(".")
        if top == "pairs":
            parts.pop("grid")
        if key and top in blocks:
            blocks[top][key] = text
            parts[top] = "".join(f"\n  {name}: {value}" for name, value in blocks[top].items())
        else:
            parts[top] = f"{{epochs: 1, {key}: {text}}}" if key else text
    return "".join(f"{name}: {text}\n" for name, text in parts.items())


def faults(path: Path, text: str, *overrides: str) -> tuple[Fault, ...]:
    path.write_text(text)
    with pytest.raises(UserError) as error:
        check_sweep(*read_sweep(str(path), list(overrides)), None)
    return error.value.faults


def test_the_sound_sweep_is_sound(tmp_path):
    """So that each fault below is of the change alone."""
    (tmp_path / "a.yaml").write_text(written({}))
    check_sweep(*read_sweep(str(tmp_path / "a.yaml"), []), None)


@pytest.mark.parametrize("row", VALUES, ids=lambda row: f"{row[0]}={row[1]}")
def test_a_bad_value_is_told_with_what_to_write(row, tmp_path):
    """One fault, of that key."""
    key, text, what, where, mend = row
    (fault,) = faults(tmp_path / "a.yaml", written({key: text}))
    assert (fault.what, fault.mend) == (what, mend)
    assert fault.where.startswith(f"{tmp_path}/a.yaml, {where}")


@pytest.mark.parametrize(("text", "what", "mend"), DOCUMENTS)
def test_a_file_that_is_no_sweep_is_told(text, what, mend, tmp_path):
    """The file, and where the text knows it, line and column."""
    (fault,) = faults(tmp_path / "a.yaml", text)
    assert (fault.what, fault.mend) == (what, mend)
    assert fault.where.startswith(f"{tmp_path}/a.yaml")


@pytest.mark.parametrize(("override", "what", "mend"), OVERRIDES)
def test_a_bad_override_is_told(override, what, mend, tmp_path):
    """A value of --set is read as one in the file is."""
    (fault,) = faults(tmp_path / "a.yaml", written({}), override)
    assert (fault.what, fault.mend) == (what, mend)


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        ({"grid.batch_size": "[016, 032, 064, 100]"}, {"grid": {"batch_size": [16, 32, 64, 100]}}),
        ({"grid.batch_size": "[0o17, 0x10, +7]"}, {"grid": {"batch_size": [15, 16, 7]}}),
        ({"grid.learning_rate": "[1e-3, .5, +1.]"}, {"grid": {"learning_rate": [1e-3, 0.5, 1.0]}}),
        ({"name": "2024-01-01"}, {"name": "2024-01-01"}),
        ({"name": "off"}, {"name": "off"}),
        ({"resources.gpus": "1/2"}, {"resources": {"gpus": 0.5}}),
        ({"resources.gpus": "1e0"}, {"resources": {"gpus": 1.0}}),
        ({"pairs": "[[10, 0.1], [20, 0.1]]"}, {"pairs": [(10, 0.1), (20, 0.1)]}),
        ({"seeds": "&n 2", "training": "{epochs: *n}"}, {"seeds": 2, "training": {"epochs": 2}}),
        (
            {"measure": "[&s {name: spectrum, num_steps: 5}, {<<: *s, num_steps: 6}]"},
            {"measure": [{"num_steps": 5}, {"num_steps": 6}]},
        ),
    ],
)  # fmt: skip
def test_what_yaml_1_2_allows_is_planned_as_written(change, spec, tmp_path):
    """016 is 16, a date is text, a written key wins over a merged one."""
    (tmp_path / "a.yaml").write_text(written(change))
    checked = check_sweep(*read_sweep(str(tmp_path / "a.yaml"), []), None)
    assert holds(checked.spec.model_dump(), spec)


def holds(found: object, wanted: object) -> bool:
    if isinstance(wanted, dict):
        return all(holds(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(wanted[0], dict):
        return all(holds(one, other) for one, other in zip(found, wanted, strict=True))
    return found == wanted


RATES = "[" + ", ".join(f"{0.1 + each / 1000:.3f}" for each in range(1000)) + "]"
SIZES = "[" + ", ".join(str(each) for each in range(1, 1001)) + "]"


@pytest.mark.parametrize(
    ("change", "what", "num_faults"),
    [
        (
            {"dataset": "{name: digits}", "seeds": "10000", "grid.batch_size": SIZES, "grid.learning_rate": RATES},
            "1,000,000 cells with 10,000 seeds are 10,000,000,000 trials", 1,
        ),
        ({"grid.batch_size": "[" + "x, " * 40_000 + "]"}, "batch_size[0] is 'x', not", 40_000),
        ({"grid.batch_size": "[" + "9, " * 20_000 + "]"}, "batch_size holds 9 twice", 1),
        ({"loss": "k" * 100_000}, "no loss named 'kkkk", 1),
        ({"x" * 1000: "1"}, "unknown key 'xxxx", 1),
    ],
    ids=["10¹⁰ trials", "40,000 faults", "20,000 values", "a long name", "a long key"],
)  # fmt: skip
def test_what_is_absurdly_large_is_told_in_a_page_and_in_seconds(
    change, what, num_faults, tmp_path
):
    """No more than 20 faults are written out, and how many more there are is said."""
    started = time.process_time()
    path = tmp_path / "a.yaml"
    path.write_text(written(change))
    with pytest.raises(UserError) as error:
        check_sweep(*read_sweep(str(path), []), None)
    assert error.value.faults[0].what.startswith(what)
    assert len(error.value.faults) == num_faults
    assert len(str(error.value)) < 10_000
    if num_faults > 20:
        assert str(error.value).endswith(f"… and {num_faults - 20:,} more faults")
    assert time.process_time() - started < 20  # at most 4 s on one core


def test_the_first_word_of_a_plan_is_all_its_faults(tmp_path):
    """What is wrong with the file, the override, the options and the store comes in one answer."""
    path = tmp_path / "a.yaml"
    path.write_text(written({"loss": "{name: kld}", "seeds": "1_0"}))
    options = Options("ftp://a", overrides=("resources.gpus=1:2",), checkpoint_seconds=float("nan"))
    with pytest.raises(UserError) as error:
        prepare(str(path), options)
    assert [fault.what for fault in error.value.faults] == [
        "nan is no time between checkpoints",
        "no store of kind 'ftp'",
        "loss is a mapping of 1, not text",
        f"seeds is '1_0', not {SEEDS}",
        "gpus is 1:2",
    ]
