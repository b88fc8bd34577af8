"""A sweep's faults are told all at once: keys, names, data, and what does not go together."""

from __future__ import annotations

import copy
import itertools

import pytest

from orchestrator.planning.checks import check_sweep
from orchestrator.planning.sweep import built_in_sweeps, read_sweep
from orchestrator.planning.yaml_file import parse_yaml
from workers.contract.errors import Fault, UserError

TOY = {
    "name": "toy",
    "model": {"name": "mlp"},
    "dataset": {"name": "digits"},
    "loss": "kld",
    "grid": {"batch_size": [32], "learning_rate": [0.1]},
    "seeds": 2,
    "training": {"epochs": 1},
}


def raised(changes: dict[str, object], data_dir: str | None = None) -> tuple[Fault, ...]:
    document = copy.deepcopy(TOY)
    for path, value in changes.items():
        *folders, last = path.split(".")
        place = document
        for folder in folders:
            place = place[folder]
        place[last] = value
    with pytest.raises(UserError) as error:
        check_sweep(document, "toy.yaml", data_dir)
    return error.value.faults


def faults(changes: dict[str, object], data_dir: str | None = None) -> list[tuple[str, str]]:
    return [(fault.what, fault.where) for fault in raised(changes, data_dir)]


def test_a_sound_sweep_has_no_fault():
    """What passes comes back with the facts of its data."""
    checked = check_sweep(TOY, "toy.yaml", None)
    assert checked.facts.num_train == 1437
    assert checked.spec.cells == [(32, 0.1)]


def test_a_kind_of_accelerator_must_be_one_that_ray_knows():
    """Told with the other faults."""
    found = faults({"resources": {"gpus": 1, "accelerator": "h100"}, "seeds": 0})
    assert ("no accelerator named 'h100'", "toy.yaml, resources.accelerator") in found
    assert len(found) == 2


@pytest.mark.parametrize(
    ("measure", "found"),
    [
        (["losses"], []),
        (["losses", "traces"], [("train", "measure[1]")]),
        ([{"name": "traces", "splits": ["train", "test"]}], [("train", "measure[0]")]),
    ],
)
def test_a_spread_over_one_example_is_told_before_anything_runs(measure, found):
    """Of built-in statistics that compare examples; 200 test examples are enough."""
    data = {"name": "synthetic", "task": "linear", "num_train": 1}
    changes = {"dataset": data, "loss": "squared_error", "grid.batch_size": [1], "colour": 1}
    told = [each for each in faults(changes | {"measure": measure}) if "differ" in each[0]]
    assert told == [
        (
            f"traces measures how examples differ, and the {split} split has only one",
            f"toy.yaml, {where}",
        )
        for split, where in found
    ]


@pytest.mark.parametrize(
    ("changes", "what", "where"),
    [
        ({"colour": 1}, "unknown key 'colour'", "colour"),
        ({"training.epochs": "5"}, "epochs is '5', not a whole number ≥ 1", "training.epochs"),
        ({"training.epochs": 0}, "epochs is 0, not a whole number ≥ 1", "training.epochs"),
        (
            {"grid.learning_rate": [-0.1]},
            "learning_rate[0] is -0.1, not a number > 0",
            "grid.learning_rate[0]",
        ),
        (
            {"grid.learning_rate": [float("nan")]},
            "learning_rate[0] is NaN, not a number > 0",
            "grid.learning_rate[0]",
        ),
        ({"model": {"name": "resnet65"}}, "no model named 'resnet65'", "model.name"),
        ({"loss": "kdl"}, "no loss named 'kdl'", "loss"),
        ({"loss": ["kld"]}, "loss is a list of 1, not text", "loss"),
        ({"loss": {"name": "kld"}}, "loss is a mapping of 1, not text", "loss"),
        ({"model": {"name": ["mlp"]}}, "no model named \"['mlp']\"", "model.name"),
        ({"loss": "no_such.module:loss"}, "no module with a file named 'no_such.module'", "loss"),
        ({"seeds": [1, 1]}, "seeds holds 1 twice", "seeds"),
        ({"grid.batch_size": [32, 32]}, "batch_size holds 32 twice", "grid"),
        ({"measure": ["losses", "losses"]}, "measure holds ", "measure"),
        (
            {"grid.batch_size": [5000]},
            "a batch of 5000 is larger than the 1437 training examples",
            "grid.batch_size[0]",
        ),
        (
            {"dataset": {"name": "synthetic", "task": "linear"}},
            "kld needs class labels, and the data have real targets",
            "loss",
        ),
        (
            {
                "dataset": {"name": "synthetic", "task": "softmax"},
                "model": {"name": "resnet", "depth": 8},
            },
            "a resnet needs images, and the inputs have shape (10,)",
            "model.name",
        ),
        (
            {
                "dataset": {"name": "synthetic", "task": "softmax"},
                "training.augmentation": "pad_crop_flip",
            },
            "pad_crop_flip needs images, and the inputs have shape (10,)",
            "training.augmentation",
        ),
        ({"pairs": [[32, 0.1]]}, "", "toy.yaml"),
    ],
)
def test_each_fault_says_what_and_where(changes, what, where):
    """The value seen, and the file and key it stands at."""
    found = faults(changes)
    assert len(found) == 1
    assert found[0][0].startswith(what)
    assert where in found[0][1]


def test_faults_of_all_kinds_come_together(tmp_path):
    """A fault of one part does not hide those of another."""
    found = faults(
        {
            "dataset": {"name": "cifar10"},
            "loss": "kdl",
            "colour": 1,
            "grid.batch_size": [0],
            "seeds": [3, 3],
        },
        data_dir=str(tmp_path),
    )
    assert len(found) == 5
    assert any(str(tmp_path) in what + where for what, where in found)


@pytest.mark.parametrize("name", built_in_sweeps())
def test_built_in_sweeps_are_sound(name):
    """Each validates, bears its own name and says where its values come from."""
    document, _ = read_sweep(name, ["dataset={name: digits}"])
    assert check_sweep(document, name, None).spec.name == name
    text = built_in_sweeps()[name]
    if name.startswith("paper"):
        lines = text.partition("measure:")[0].splitlines()
        settings = [line for line in lines if line.startswith("  ") and ":" in line]
        assert all("[paper]" in line or "[assumed]" in line for line in settings)


def test_the_paper_grid_is_the_papers():
    """9 cells × 5 runs, 125 epochs, η divided by 10 at 60 and 100."""
    sweep = parse_yaml(built_in_sweeps()["paper-kld"], "")
    assert sweep["grid"] == {"batch_size": [100, 200, 500], "learning_rate": [0.08, 0.2, 0.5]}
    assert (sweep["seeds"], sweep["model"]["depth"]) == (5, 56)
    training = sweep["training"]
    assert (training["epochs"], training["milestones"], training["decay"]) == (125, [60, 100], 0.1)


def test_the_small_sweeps_are_the_papers_but_for_their_size():
    """Its rates, runs, steps an epoch and shape of the schedule; one apart from the others in loss or cells alone."""
    whole, small, second, pairs = (
        parse_yaml(built_in_sweeps()[name], "")
        for name in ("paper-kld", "paper-kld-small", "paper-gradlog-small", "paper-figures-small")
    )
    steps = [50_000 // size for size in whole["grid"]["batch_size"]]
    assert [small["dataset"]["num_train"] // size for size in small["grid"]["batch_size"]] == steps
    assert small["grid"]["learning_rate"] == whole["grid"]["learning_rate"]
    assert small["seeds"] == whole["seeds"]
    shapes = [
        [round(each / sweep["training"]["epochs"], 1) for each in sweep["training"]["milestones"]]
        for sweep in (whole, small)
    ]
    assert shapes[0] == shapes[1]
    assert second == small | {"name": second["name"], "loss": "gradlog_l2"}
    cells = {"grid": None, "pairs": pairs["pairs"], "name": pairs["name"]}
    assert pairs == {key: value for key, value in (small | cells).items() if value is not None}
    grid = set(itertools.product(*small["grid"].values()))
    assert set(map(tuple, pairs["pairs"])) < grid
    dear = [
        each for each in small["measure"] if isinstance(each, dict) and each["name"] != "traces"
    ]
    assert {each["seeds"] for each in dear} == {2}


def test_too_large_a_num_train_hides_no_other_fault_of_the_data():
    """The rest is judged by the whole data."""
    found = faults({"dataset.num_train": 2000, "grid.batch_size": [1500, 1000]})
    assert found == [
        (
            "num_train is 2,000, but the data set has 1,437 training examples",
            "toy.yaml, dataset.num_train",
        ),
        (
            "a batch of 1500 is larger than the 1437 training examples",
            "toy.yaml, grid.batch_size[0]",
        ),
    ]


def test_a_num_train_that_fits_is_what_batches_are_judged_by():
    """Not the whole data."""
    found = faults({"dataset.num_train": 100, "grid.batch_size": [101]})
    assert found == [
        ("a batch of 101 is larger than the 100 training examples", "toy.yaml, grid.batch_size[0]")
    ]


NO_TWO = "times the batch size 479 leaves no two different batches of the 1437 training examples"
AT_MOST_2 = "choose multiples of at most 2, or leave `batch_noise` out of `measure`"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("batch_noise", [(f"4 {NO_TWO}", "multiples", AT_MOST_2)]),
        ({"name": "batch_noise", "multiples": [1, 3], "seeds": 1}, [(f"3 {NO_TWO}", "multiples", AT_MOST_2)]),
        ({"name": "batch_noise", "multiples": [2], "seeds": 1}, []),
        (
            {"name": "hessian", "num_examples": 361, "splits": ["train", "test"], "seeds": 1},
            [(
                "num_examples 361 is more than the 360 examples of the split 'test'", "num_examples",
                "give at most 360, or leave it out for all of them",
            )],
        ),
        ({"name": "hessian", "num_examples": 1437}, []),
        (
            {"name": "spectrum", "num_examples": 1438},
            [(
                "num_examples 1438 is more than the 1437 examples of the split 'train'", "num_examples",
                "give at most 1437, or leave it out for all of them",
            )],
        ),
    ],
)  # fmt: skip
def test_what_statistics_ask_of_the_data_is_held_against_them_before_anything_runs(item, told):
    """By the largest batch size that fits; a larger one, and an unknown key, are told besides."""
    changes = {"grid.batch_size": [32, 2000, 479], "measure": ["losses", item], "colour": 1}
    found = [(each.what, each.where, each.mend) for each in raised(changes)]
    assert found[2:] == [(what, f"toy.yaml, measure[1].{key}", mend) for what, key, mend in told]


def test_a_statistic_with_a_fault_of_its_own_is_not_held_against_the_data():
    """Its fault is told, once."""
    item = {"name": "spectrum", "num_examples": 5000, "num_steps": "many"}
    assert [where for _, where in faults({"measure": [item]})] == ["toy.yaml, measure[0].num_steps"]


@pytest.mark.parametrize("name", ["fork", "tail"])
def test_shuffled_excursions_in_batches_of_all_examples_are_told_before_anything_runs(name):
    """They have no noise, and its estimate divides by N - m; of independent batches nothing is said."""
    changes = {
        "grid.batch_size": [1437],
        "measure": ["losses", {"name": name, "sampler": "shuffle"}],
    }
    assert faults(changes) == [
        (
            "shuffled batches of all 1437 training examples have no noise (grid.batch_size[0])",
            "toy.yaml, measure[1].sampler",
        )
    ]
    changes["measure"] = [{"name": name}]
    assert faults(changes | {"colour": 1}) == [("unknown key 'colour'", "toy.yaml, colour")]
