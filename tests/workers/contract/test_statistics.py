"""What to measure: a bare name is the statistic with its defaults."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from workers.contract.specs import ModelSpec
from workers.contract.statistics import PluginStatisticSpec, StatisticSpec
from workers.statistics.losses import LossesSpec
from workers.statistics.traces import TracesSpec

_STATISTIC = TypeAdapter(StatisticSpec)


@pytest.mark.parametrize(
    ("document", "spec"),
    [
        ("losses", LossesSpec()),
        ({"name": "traces", "columns": 3}, TracesSpec(columns=3)),
        ({"name": "traces", "seeds": 2}, TracesSpec(seeds=2)),
        ({"name": "a:b", "seeds": 2}, PluginStatisticSpec(name="a:b", seeds=2)),
        ({"name": "traces", "columns": "exact"}, TracesSpec(columns="exact")),
        ("my_package.sharpness:measure", PluginStatisticSpec(name="my_package.sharpness:measure")),
        (
            {"name": "a:b", "settings": {"radius": [0.1, None]}},
            PluginStatisticSpec(name="a:b", settings={"radius": [0.1, None]}),
        ),
    ],
)
def test_documents_and_their_specs(document, spec):
    """And back again."""
    assert _STATISTIC.validate_python(document) == spec
    assert _STATISTIC.validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "document",
    [
        {"name": "traces", "columns": 0},
        {"name": "traces", "columns": True},
        {"name": "traces", "replicate_examples": 999},
        {"name": "traces", "splits": []},
        {"name": "traces", "columns": 10**400},
        {"name": "losses", "bn_mode": "batch"},
        {"name": "losses", "columns": 1},
        {"name": "losses", "seeds": 0},
        {"name": "a:b", "seeds": True},
    ],
)
def test_settings_out_of_range_are_refused(document):
    """1000 replicates at least, one split at least, and no setting of another statistic."""
    with pytest.raises(ValidationError):
        _STATISTIC.validate_python(document)


@pytest.mark.parametrize("name", ["losses", "traces"])
def test_a_split_named_twice_is_refused(name):
    """It would be measured twice."""
    with pytest.raises(ValidationError, match="splits holds train twice; give each once"):
        _STATISTIC.validate_python({"name": name, "splits": ["train", "test", "train"]})


def test_seeds_are_of_a_statistic_alone():
    """A model of one's own has none."""
    with pytest.raises(ValidationError):
        TypeAdapter(ModelSpec).validate_python({"name": "a:b", "seeds": 2})


@pytest.mark.parametrize("name", ["losses", "a:b"])
def test_all_seeds_are_written_as_no_key(name):
    """As plans are by earlier versions, which know none."""
    of_all, of_two = (
        _STATISTIC.validate_python({"name": name} | more) for more in ({}, {"seeds": 2})
    )
    assert "seeds" not in of_all.model_dump(mode="json") | json.loads(of_all.model_dump_json())
    assert of_two.model_dump(mode="json")["seeds"] == 2
    assert _STATISTIC.validate_json(of_two.model_dump_json()) == of_two
