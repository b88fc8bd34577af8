"""Identities: equal work has one id, in every process, and different work another."""

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from workers.contract.errors import UserError
from workers.contract.identity import (
    digest,
    earlier_statistic_ids,
    statistic_id,
    trial_id,
    weights_sha256,
)
from workers.contract.specs import TrialSpec
from workers.contract.statistics import StatisticSpec

ROOT = Path(__file__).parents[3]
_STATISTIC = TypeAdapter(StatisticSpec)

IMAGES = {
    "model": {"name": "resnet", "depth": 20},
    "dataset": {"name": "cifar10"},
    "data_digest": "d",
    "loss": "kld",
    "training": {"epochs": 10, "milestones": [5]},
    "batch_size": 100,
    "learning_rate": 0.1,
    "seed": 0,
}
FEATURES = IMAGES | {"model": {"name": "mlp"}, "dataset": {"name": "synthetic", "task": "softmax"}}
DIGITS = IMAGES | {"dataset": {"name": "digits"}}
OWN = IMAGES | {
    "model": {"name": "my_nets:build", "settings": {"width": 1}},
    "dataset": {"name": "my_data:load", "settings": {"path": "a"}},
}

OTHER_VALUES: list[tuple[dict, str, object]] = [
    (IMAGES, "model.name", "mlp"),
    (IMAGES, "model.depth", 26),
    (IMAGES, "model.variant", "keras_example"),
    (IMAGES, "dataset.num_train", 500),
    (IMAGES, "dataset.normalisation", "unit"),
    (IMAGES, "data_digest", "e"),
    (IMAGES, "loss", "gradlog_l2"),
    (IMAGES, "batch_size", 200),
    (IMAGES, "learning_rate", math.nextafter(0.1, 1)),
    (IMAGES, "seed", 1),
    (IMAGES, "plugin_digests", {"a:b": "c"}),
    (IMAGES, "training.epochs", 11),
    (IMAGES, "training.milestones", [6]),
    (IMAGES, "training.decay", 0.2),
    (IMAGES, "training.momentum", 0.9),
    (IMAGES, "training.weight_decay", 1e-4),
    (IMAGES, "training.augmentation", "pad_crop_flip"),
    (IMAGES, "training.sampler", "replacement"),
    (IMAGES, "training.ragged_batch", "keep"),
    (IMAGES, "training.precision", "mixed_bfloat16"),
    (IMAGES, "training.convergence.metric", "validation_loss"),
    (IMAGES, "training.convergence.relative_change", 0.02),
    (IMAGES, "training.convergence.patience_epochs", 6),
    (IMAGES, "training.convergence.stop", True),
    (DIGITS, "dataset.name", "cifar10"),
    (DIGITS, "dataset.num_train", 500),
    (FEATURES, "model.hidden_units", [8]),
    (FEATURES, "dataset.task", "linear"),
    (FEATURES, "dataset.num_train", 999),
    (FEATURES, "dataset.num_test", 199),
    (FEATURES, "dataset.num_features", 9),
    (FEATURES, "dataset.num_classes", 4),
    (FEATURES, "dataset.feature_decay", 0.5),
    (FEATURES, "dataset.label_noise", 0.5),
    (FEATURES, "dataset.data_seed", 1),
    (OWN, "model.name", "my_nets:other"),
    (OWN, "model.settings", {"width": 1.0}),
    (OWN, "dataset.name", "my_data:other"),
    (OWN, "dataset.settings", {"path": "b"}),
]
"""Every field that decides weights, with a value it does not have in the trial beside it."""

STATISTICS = [
    {"name": "losses"},
    {"name": "losses", "splits": ["train"]},
    {"name": "losses", "bn_mode": "moving_average"},
    {"name": "traces"},
    {"name": "traces", "columns": "exact"},
    {"name": "traces", "columns": 2},
    {"name": "traces", "splits": ["train", "test"]},
    {"name": "traces", "bn_mode": "moving_average"},
    {"name": "traces", "replicate_examples": 1001},
    {"name": "traces", "probe_seed": 1},
    {"name": "fork"},
    {"name": "fork", "learning_rate": 0.01},
    {"name": "fork", "sampler": "shuffle"},
    {"name": "fork", "stream_seed": 1},
    {"name": "tail"},
    {"name": "tail", "bn_mode": "batch"},
]


def identify(document: dict) -> str:
    return trial_id(TrialSpec.model_validate(document))


def identify_statistic(document: object) -> str:
    return statistic_id(_STATISTIC.validate_python(document))


def changed(document: dict, path: str, value: object) -> dict:
    """Copy a document with one value replaced."""
    head, _, rest = path.partition(".")
    if not rest:
        return document | {head: value}
    return document | {head: changed(document.get(head, {}), rest, value)}


def paths(document: dict, above: str = "") -> set[str]:
    """List every place of a fully written trial; settings and digests are one place each."""
    found: set[str] = set()
    for key, value in document.items():
        is_mapping = isinstance(value, dict) and key not in {"settings", "plugin_digests"}
        found |= paths(value, f"{above}{key}.") if is_mapping else {f"{above}{key}"}
    return found


@pytest.mark.parametrize(("document", "path", "value"), OTHER_VALUES)
def test_every_field_that_decides_weights_changes_the_id(document, path, value):
    """One value is replaced; a model that takes other settings is given those it needs."""
    other = changed(document, path, value)
    if (path, value) == ("model.name", "mlp"):
        other["model"] = {"name": "mlp"}
    assert identify(other) != identify(document)


def test_no_field_is_forgotten_above():
    """The table lists every field of every built-in model and data set, and of plugins."""
    written = [TrialSpec.model_validate(d).model_dump() for d in (IMAGES, FEATURES, DIGITS, OWN)]
    all_paths = set().union(*(paths(document) for document in written))
    assert {path for _, path, _ in OTHER_VALUES} == all_paths


def test_ids_of_the_table_are_all_different():
    """No two of these trials share an id."""
    documents = [IMAGES, FEATURES, DIGITS, OWN]
    documents += [
        changed(document, path, value)
        for document, path, value in OTHER_VALUES
        if not path.endswith(".name")
    ]
    ids = [identify(document) for document in documents]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("document", [IMAGES, FEATURES, DIGITS, OWN])
def test_a_default_written_out_does_not_change_the_id(document):
    """A file that spells every field names the same work as one that spells none."""
    written = TrialSpec.model_validate(document).model_dump()
    assert identify(written) == identify(document)
    for path in paths(written):
        value: object = written
        for key in path.split("."):
            value = value[key]
        assert identify(changed(document, path, value)) == identify(document)


def shuffled(value: object, order: random.Random) -> object:
    """Write every mapping in another order."""
    if not isinstance(value, dict):
        return value
    keys = list(value)
    order.shuffle(keys)
    return {key: shuffled(value[key], order) for key in keys}


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_keys_does_not_matter(order):
    """A mapping is no list."""
    written = TrialSpec.model_validate(OWN).model_dump()
    assert identify(shuffled(written, order)) == identify(OWN)


@given(st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_floats_count_by_their_exact_value(rate):
    """The neighbouring float is another trial; the same float through JSON is the same."""
    document = IMAGES | {"learning_rate": rate}
    assert identify(json.loads(json.dumps(document))) == identify(document)
    neighbour = math.nextafter(rate, 0) or math.nextafter(rate, 1)
    assert identify(IMAGES | {"learning_rate": neighbour}) != identify(document)


def test_spellings_of_one_number_are_one_trial():
    """1 is 1.0 where a number is asked for, and -0.0 is 0.0."""
    assert identify(IMAGES | {"learning_rate": 1}) == identify(IMAGES | {"learning_rate": 1.0})
    plain = changed(FEATURES, "dataset.label_noise", 0.0)
    assert identify(changed(FEATURES, "dataset.label_noise", -0.0)) == identify(plain)
    assert identify(changed(IMAGES, "training.momentum", -0.0)) == identify(IMAGES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def alike(left: object, right: object) -> bool:
    """Compare JSON values with types, so that 1, 1.0 and true differ, and 0.0 and -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, float):
        return left.hex() == right.hex()
    return left == right


@given(JSON, JSON)
@settings(max_examples=300, deadline=None)
def test_digests_are_equal_exactly_when_values_are(left, right):
    """No text passes for a number, no number for another."""
    assert (digest(left) == digest(right)) == alike(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        ("0x1.0p+0", 1.0),
        (None, "null"),
        ([1], 1),
        ({}, []),
        (0, -0.0),
    ],
)
def test_values_that_look_alike_have_different_digests(left, right):
    """The near misses that random values seldom hit."""
    assert digest({"a": left}) != digest({"a": right})


def test_ids_are_the_same_in_every_process():
    """Whatever the seed of Python's hashes, and however the process came to be."""
    code = (
        "import json, sys\n"
        "from workers.contract.identity import trial_id\n"
        "from workers.contract.specs import TrialSpec\n"
        "print([trial_id(TrialSpec.model_validate(d)) for d in json.load(sys.stdin)])"
    )
    documents = [IMAGES, FEATURES, DIGITS, OWN]
    for seed in ("0", "1", "random"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(documents),
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str([identify(document) for document in documents])


def test_ids_are_pinned():
    """A released default never changes, nor does the rule: these ids stand in users' stores."""
    documents = [IMAGES, FEATURES, DIGITS, OWN]
    assert [identify(document) for document in documents] == [
        "a3e842c298b3a1b1aec1",
        "6191d14f7701625341eb",
        "028a9574cbddf21c93d9",
        "835baa001fe4597c4482",
    ]
    assert [identify_statistic(name) for name in ("losses", "traces")] == [
        "f3218119485d6816e80d",
        "c5383bf7450bc3473293",
    ]


def test_ids_of_earlier_numerics_versions_are_pinned():
    """The latest first: records under these ids stand in users' stores, and count."""
    found = [
        earlier_statistic_ids(_STATISTIC.validate_python(name)) for name in ("losses", "traces")
    ]
    assert found == [
        ["18c466436ee0f740af88"],
        ["9f02b92062b457c4ce28", "cd235a3623414c50b410"],
    ]
    assert earlier_statistic_ids(_STATISTIC.validate_python("not_there:measure")) == []


FORKS_AND_TAILS = {
    ("fork", "frozen"): ["5ed83a467dcaeba9e682", "6c7ec394a32fa958ff31"],
    ("fork", "batch"): ["51dcd13e3b647df1b528", "bf8eaf5380ad8aa8b63e", "ddfad19e0940d9152905"],
    ("tail", "frozen"): ["59a670b8b15f3ed3f05b", "6b8cdf73522d6c8c2140", "c4e12b26c751e29ae476"],
    ("tail", "batch"): [
        "e4bea90e966abc0631f8",
        "add86f556ce1df0f484f",
        "c66c4b2ffd7238f64b4d",
        "3a4526bbeb59b5ad9385",
    ],
}


@pytest.mark.parametrize(("name", "bn_mode"), FORKS_AND_TAILS)
def test_excursions_in_training_mode_are_of_a_version_more(name, bn_mode):
    """Their loss is of other batches than once: the second id here, and the first of frozen ones, are in stores."""
    document = {"name": name, "bn_mode": bn_mode}
    found = [
        identify_statistic(document),
        *earlier_statistic_ids(_STATISTIC.validate_python(document)),
    ]
    assert found == FORKS_AND_TAILS[name, bn_mode]


def test_every_setting_of_a_statistic_changes_its_id():
    """Also the number of columns in place of "exact"."""
    ids = [identify_statistic(document) for document in STATISTICS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", ["traces", "json:dumps"])
def test_for_how_many_seeds_is_no_part_of_a_statistics_id(name):
    """So that it is measured once, however many seeds are asked for later."""
    plain, of_two = (
        _STATISTIC.validate_python({"name": name} | more) for more in ({}, {"seeds": 2})
    )
    assert earlier_statistic_ids(plain) == earlier_statistic_ids(of_two)
    assert statistic_id(plain) == statistic_id(of_two)


def test_a_statistic_by_name_is_that_with_its_defaults_written_out():
    """`traces`, `{name: traces}` and all settings spelled out are the same work."""
    for name in ("losses", "traces"):
        written = _STATISTIC.validate_python(name).model_dump()
        assert identify_statistic(name) == identify_statistic({"name": name})
        assert identify_statistic(name) == identify_statistic(written)


def test_a_statistic_of_ones_own_changes_with_its_source_and_settings(tmp_path, monkeypatch):
    """Its file is hashed, not run."""
    module = tmp_path / "my_statistics_of_sharpness.py"
    module.write_text("raise RuntimeError('must not be run')\ndef measure(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    name = "my_statistics_of_sharpness:measure"
    before = identify_statistic(name)
    assert identify_statistic({"name": name, "settings": {"radius": 0.1}}) != before
    assert identify_statistic({"name": name, "settings": {}}) == before
    module.write_text("raise RuntimeError('another source')\ndef measure(): ...\n")
    assert identify_statistic(name) != before


def test_a_statistic_that_is_not_installed_has_no_id():
    """The cure is to install it."""
    with pytest.raises(UserError, match="no module with a file named 'not_there'"):
        identify_statistic("not_there:measure")


def test_weights_are_hashed_with_their_names_in_order():
    """Moving a byte from one tensor to the next, or renaming one, changes the hash."""
    arrays = [("a", b"12"), ("b", b"3")]
    others = [
        [("a", b"1"), ("b", b"23")],
        [("a", b"12"), ("c", b"3")],
        [("b", b"3"), ("a", b"12")],
    ]
    hashes = {weights_sha256(item) for item in (arrays, *others)}
    assert len(hashes) == 4
    assert all(len(item) == 64 for item in hashes)
