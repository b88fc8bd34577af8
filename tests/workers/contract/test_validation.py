"""Every fault of a document at once, in plain words: what was seen, where, and how to mend it."""

import datetime
import math

import pytest
from pydantic import TypeAdapter, ValidationError, field_validator

from workers.contract.frozen import Frozen, Misfit
from workers.contract.specs import ModelSpec
from workers.contract.sweep_spec import SweepSpec
from workers.contract.validation import faults_of, seen

SEEDS = (
    "a whole number ≥ 1 and ≤ 10000"
    " or a list of 1 to 10000, each a whole number ≥ 0 and < 2147483648"
)


def sound() -> dict:
    return {
        "name": "toy",
        "model": {"name": "resnet", "depth": 8},
        "dataset": {"name": "digits"},
        "loss": "kld",
        "grid": {"batch_size": [10], "learning_rate": [0.1]},
        "seeds": 2,
        "training": {"epochs": 3},
    }


def faults(**changes) -> list[tuple[str, str, str]]:
    """Give (what, where, mend) for a sound sweep with some top keys replaced or, by None, removed."""
    document = {key: value for key, value in (sound() | changes).items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        SweepSpec.model_validate(document)
    return [(f.what, f.where, f.mend) for f in faults_of(caught.value, "toy.yaml")]


def test_the_sound_sweep_is_sound():
    """So that each fault below is of the change alone."""
    SweepSpec.model_validate(sound())


def test_an_unknown_model_is_answered_with_the_nearest_name():
    """As the style guide shows it."""
    assert faults(model={"name": "resnet65", "depth": 8}) == [
        (
            "no model named 'resnet65'",
            "toy.yaml, model.name",
            "did you mean 'resnet'? Known: mlp, resnet. Your own: \"package.module:function\"",
        )
    ]


@pytest.mark.parametrize(
    ("change", "kind", "known"),
    [
        ({"model": {"depth": 8}}, "model", "mlp, resnet"),
        ({"dataset": {"num_train": 5}}, "dataset", "cifar10, digits, synthetic"),
        ({"dataset": {"name": None}}, "dataset", "cifar10, digits, synthetic"),
    ],
)
def test_a_mapping_without_a_name_is_answered_with_the_names(change, kind, known):
    """There is nothing to guess from."""
    assert faults(**change) == [
        (f"the {kind} has no name", f"toy.yaml, {kind}", f"add name: … Known: {known}.")
    ]


def test_a_bare_name_is_answered_with_the_mapping_to_write():
    """A model needs settings, so a name alone is not enough."""
    assert faults(model="resnet") == [
        (
            "model is 'resnet', not a mapping with a name",
            "toy.yaml, model",
            "write {name: …}. Known: mlp, resnet.",
        )
    ]


def test_unknown_keys_are_answered_with_the_keys_of_that_mapping():
    """The nearest of them first; inside a tagged union the tag is no part of the place."""
    assert faults(training={"epochs": 3, "momentun": 0.9}, model={"name": "mlp", "units": [3]}) == [
        (
            "unknown key 'units'",
            "toy.yaml, model.units",
            "did you mean 'hidden_units'? Known: hidden_units, name.",
        ),
        (
            "unknown key 'momentun'",
            "toy.yaml, training.momentun",
            "did you mean 'momentum'? Known: augmentation, convergence, decay, epochs, milestones, "
            "momentum, precision, ragged_batch, sampler, weight_decay.",
        ),
    ]


def test_an_unknown_key_that_is_called_like_its_model_is_still_a_key():
    """The place ends with the user's own key."""
    found = faults(model={"name": "resnet", "depth": 8, "resnet": 1})
    assert [where for _, where, _ in found] == ["toy.yaml, model.resnet"]


def test_missing_keys_are_answered_with_what_they_take():
    """Also deep in a document and inside a tagged union."""
    assert faults(training={}, dataset={"name": "synthetic"}, loss=None) == [
        (
            "the key 'task' is missing",
            "toy.yaml, dataset.task",
            "add task: 'linear' or 'softmax'",
        ),
        ("the key 'loss' is missing", "toy.yaml, loss", "add loss: text"),
        (
            "the key 'epochs' is missing",
            "toy.yaml, training.epochs",
            "add epochs: a whole number ≥ 1 and ≤ 1000000000",
        ),
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (2, "2"), ("a", "'a'"), (True, "true"), (math.nan, "NaN"), (math.inf, "Infinity")],
)
def test_a_number_out_of_range_or_of_another_type_is_answered_with_the_range(value, shown):
    """Both ends of the range are given, whichever was passed."""
    wanted = "a number > 0 and ≤ 1"
    assert faults(training={"epochs": 3, "decay": value}) == [
        (f"decay is {shown}, not {wanted}", "toy.yaml, training.decay", f"give {wanted}")
    ]


def test_entries_of_lists_are_named_by_position():
    """Counted from 0, as in every error of Python."""
    grid = {"batch_size": [10, 0], "learning_rate": ["x", 0.1, None]}
    assert faults(grid=grid) == [
        (
            "batch_size[1] is 0, not a whole number ≥ 1 and ≤ 1000000000",
            "toy.yaml, grid.batch_size[1]",
            "give a whole number ≥ 1 and ≤ 1000000000",
        ),
        (
            "learning_rate[0] is 'x', not a number > 0",
            "toy.yaml, grid.learning_rate[0]",
            "give a number > 0",
        ),
        (
            "learning_rate[2] is null, not a number > 0",
            "toy.yaml, grid.learning_rate[2]",
            "give a number > 0",
        ),
    ]


def test_an_empty_list_where_one_entry_is_needed():
    """The least length is part of what is expected."""
    wanted = "a list of at least 1, each a whole number ≥ 1 and ≤ 1000000000"
    assert faults(grid={"batch_size": [], "learning_rate": [0.1]}) == [
        (
            f"batch_size is an empty list, not {wanted}",
            "toy.yaml, grid.batch_size",
            f"give {wanted}",
        )
    ]


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), ("all", "'all'"), ([], "an empty list")])
def test_a_value_of_none_of_several_types_is_one_fault(value, shown):
    """Not one for each type it might have had."""
    assert faults(seeds=value) == [
        (f"seeds is {shown}, not {SEEDS}", "toy.yaml, seeds", f"give {SEEDS}")
    ]


def test_a_value_near_to_one_of_several_types_is_judged_as_that_type():
    """A list of seeds with two bad entries is a list, so the entries are named."""
    wanted = "a whole number ≥ 0 and < 2147483648"
    assert faults(seeds=[0, -1, 2**31]) == [
        (f"seeds[1] is -1, not {wanted}", "toy.yaml, seeds[1]", f"give {wanted}"),
        (f"seeds[2] is 2147483648, not {wanted}", "toy.yaml, seeds[2]", f"give {wanted}"),
    ]


def test_pairs_of_another_length_are_named_whole():
    """Too short and too long alike."""
    wanted = "a list of 2, a whole number ≥ 1 and ≤ 1000000000 and a number > 0"
    assert faults(grid=None, pairs=[[10], [10, 0.1, 3], [10, 0.1]]) == [
        (f"pairs[0] is a list of 1, not {wanted}", "toy.yaml, pairs[0]", f"give {wanted}"),
        (f"pairs[1] is a list of 3, not {wanted}", "toy.yaml, pairs[1]", f"give {wanted}"),
    ]


def test_choices_are_listed():
    """For a literal, and for a literal beside a number."""
    measure = [{"name": "traces", "columns": "exac", "splits": ["tran"]}]
    assert faults(training={"epochs": 3, "sampler": "random"}, measure=measure) == [
        (
            "sampler is 'random', not 'shuffle' or 'replacement'",
            "toy.yaml, training.sampler",
            "give 'shuffle' or 'replacement'",
        ),
        (
            "columns is 'exac', not 'exact' or a whole number ≥ 1 and ≤ 1000000000",
            "toy.yaml, measure[0].columns",
            "give 'exact' or a whole number ≥ 1 and ≤ 1000000000",
        ),
        (
            "splits[0] is 'tran', not 'train' or 'test'",
            "toy.yaml, measure[0].splits[0]",
            "give 'train' or 'test'",
        ),
    ]


def test_statistics_are_named_as_statistics():
    """A wrong name, a number, and a mapping in place of the list."""
    assert faults(measure=["traces", "trace"])[0] == (
        "no statistic named 'trace'",
        "toy.yaml, measure[1].name",
        "did you mean 'traces'? Known: batch_noise, fork, hessian, losses, noise_curvature, spectrum, tail, traces. Your own: \"package.module:function\"",
    )
    assert faults(measure=[3]) == [
        (
            "measure[0] is 3, not a mapping with a name",
            "toy.yaml, measure[0]",
            "write {name: …}. Known: batch_noise, fork, hessian, losses, noise_curvature, spectrum, tail, traces.",
        )
    ]
    assert faults(measure={"name": "losses"})[0][0] == (
        "measure is a mapping of 1, not a list of at least 1, each a mapping with a name"
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"model": {"name": "resnet", "depth": 9}},
            (
                "depth 9 is not 6n+2",
                "toy.yaml, model.depth",
                "a CIFAR ResNet has 8, 14, 20, 32, 44, 56, 110, …",
            ),
        ),
        (
            {"training": {"epochs": 9, "milestones": [4, 4]}},
            ("milestones [4, 4] do not rise", "toy.yaml, training", "give each epoch once"),
        ),
        (
            {"training": {"epochs": 9, "milestones": [9]}},
            (
                "milestone 9 is not before the end, epoch 9",
                "toy.yaml, training",
                "lower it, remove it, or train longer",
            ),
        ),
        (
            {"model": {"name": "my nets:build"}},
            (
                "'my nets:build' is not a name of your own",
                "toy.yaml, model.name",
                "write package.module:function",
            ),
        ),
        (
            {"resources": {"gpus": 0.4}},
            (
                "gpus is 0.4",
                "toy.yaml, resources.gpus",
                "give 0, a whole number, or a share 1/n of one device such as 1/2",
            ),
        ),
        (
            {"pairs": [[10, 0.1]]},
            ("grid and pairs are both given", "toy.yaml", "keep one"),
        ),
        (
            {"grid": None},
            (
                "there is neither grid nor pairs",
                "toy.yaml",
                "give one, such as grid: {batch_size: [100], learning_rate: [0.1]}",
            ),
        ),
        (
            {"seeds": [3, 3]},
            ("seeds holds 3 twice", "toy.yaml, seeds", "give each once"),
        ),
    ],
)
def test_what_our_own_validators_say_is_split_into_fault_and_cure(change, fault):
    """The words before the semicolon are the fault, those after it the cure."""
    assert faults(**change) == [fault]


def test_plugin_settings_take_plain_values_only():
    """A date of YAML has no place in a record."""
    model = {"name": "my_nets:build", "settings": {"since": datetime.date(2020, 1, 1)}}
    wanted = "text, a finite number, true or false, null, or a list or mapping of these"
    assert faults(model=model) == [
        (
            f'since is "2020-01-01", not {wanted}',
            "toy.yaml, model.settings.since",
            f"give {wanted}",
        )
    ]


def test_keys_that_are_no_text_are_named():
    """YAML reads `1:` as a number and `no:` as false."""
    assert faults(training={"epochs": 3, 1: 2}) == [
        ("the key 1 is not text", "toy.yaml, training", "write '1'")
    ]
    model = {"name": "my_nets:build", "settings": {1: 2}}
    assert faults(model=model) == [
        ("the key 1 is not text", "toy.yaml, model.settings", "write '1'")
    ]


def test_a_document_that_is_no_mapping():
    """The place is the file itself."""
    with pytest.raises(ValidationError) as caught:
        SweepSpec.model_validate([1])
    (fault,) = faults_of(caught.value, "toy.yaml")
    assert fault.what.startswith("the document is a list of 1, not a mapping with the keys name, ")
    assert fault.where == "toy.yaml"


def test_all_faults_are_told_at_once():
    """One round of mending is enough."""
    assert len(faults(name="a b", loss=3, seeds=0, training=[], extra=1)) == 5


def test_an_error_of_no_spec_of_ours_still_gives_a_fault():
    """Without the spec the keys it knows cannot be listed."""
    adapter = TypeAdapter(ModelSpec)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python({"name": "mlp", "units": 3})
    (fault,) = faults_of(caught.value, "x")
    assert (fault.what, fault.mend) == ("unknown key 'units'", "remove it")


def test_long_values_are_cut():
    """A message stays readable; lists and mappings are shown by their size."""
    assert seen("a" * 100) == "'" + "a" * 59 + "…"
    assert [seen(value) for value in ([1, 2], {}, None)] == [
        "a list of 2",
        "an empty mapping",
        "null",
    ]


class Nested(Frozen):
    """A spec with keys of the user's own, for the test below."""

    inner: dict[str, int]


def test_values_of_mappings_are_named_by_their_key():
    """Where the keys are the user's own."""
    with pytest.raises(ValidationError) as caught:
        Nested.model_validate({"inner": {"a": "x"}})
    (fault,) = faults_of(caught.value, "x")
    assert fault.where == "x, inner.a"


@pytest.mark.parametrize("seeds", [10_001, 10**400, list(range(10_001))])
def test_a_sweep_has_at_most_ten_thousand_seeds(seeds):
    """As a number and as a list."""
    ((what, where, mend),) = faults(seeds=seeds)
    assert what.startswith("seeds is ")
    assert what.endswith(f", not {SEEDS}")
    assert (where, mend) == ("toy.yaml, seeds", f"give {SEEDS}")


@pytest.mark.parametrize("epochs", [10**9 + 1, 2**63, 10**400])
def test_a_whole_number_too_large_for_a_record_is_a_fault(epochs):
    """Not an overflow later on."""
    ((what, where, _),) = faults(training={"epochs": epochs})
    assert what.startswith("epochs is 1" if epochs != 2**63 else "epochs is 9223372036854775808")
    assert what.endswith(", not a whole number ≥ 1 and ≤ 1000000000")
    assert where == "toy.yaml, training.epochs"


@pytest.mark.parametrize("gpus", ["1e400", 10**300, 1001])
def test_a_share_of_more_gpus_than_there_are_anywhere_is_a_fault(gpus):
    """Neither is it an overflow."""
    ((what, where, _),) = faults(resources={"gpus": gpus})
    shown = str(gpus) if len(str(gpus)) < 60 else f"{str(gpus)[:60]}…"
    assert (what, where) == (f"gpus is {shown}", "toy.yaml, resources.gpus")


def test_a_semicolon_in_what_is_wrong_moves_nothing_into_the_mend():
    """Both are told as the validator gave them."""

    class Named(Frozen):
        name: str

        @field_validator("name")
        @classmethod
        def _fits(cls, name: str) -> str:
            raise Misfit(f"{name!r} is long; and odd", "shorten it")

    with pytest.raises(ValidationError) as caught:
        Named.model_validate({"name": "x"})
    [fault] = faults_of(caught.value, "sweep.yaml")
    assert (fault.what, fault.mend) == ("'x' is long; and odd", "shorten it")
