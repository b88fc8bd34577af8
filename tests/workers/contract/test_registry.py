"""Items are found by their files; what is found is what declares itself, and nothing heavy is imported."""

import subprocess
import sys

import pytest

from workers.contract.items import LossItem, StatisticItem
from workers.contract.quantities import GLOSSARY, STATISTIC_QUANTITIES
from workers.contract.quantity import Quantity
from workers.contract.registry import DATASETS, LOSSES, MODELS, STATISTICS, items_of

ONE = """
from workers.contract.items import LossItem

class One(LossItem):
    name = "one"

ITEM = One
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of loss files, by name and text."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, **files: str) -> str:
        (tmp_path / name).mkdir()
        for stem, text in ({"__init__": ""} | files).items():
            (tmp_path / name / f"{stem}.py").write_text(text)
        return name

    yield write
    for name in [each for each in sys.modules if each.partition(".")[0].startswith("found_")]:
        del sys.modules[name]


def test_items_are_found_in_alphabetical_order():
    """Those that the project ships."""
    assert list(STATISTICS) == [
        "batch_noise", "fork", "hessian", "losses", "noise_curvature", "spectrum", "tail", "traces",
    ]  # fmt: skip
    assert list(MODELS) == ["mlp", "resnet"]
    assert list(DATASETS) == ["cifar10", "digits", "synthetic"]
    assert list(LOSSES) == ["gradlog_l1", "gradlog_l2", "kld", "squared_error"]


def test_a_file_without_an_item_is_not_imported(package):
    """What items share may import anything."""
    name = package("found_one", one=ONE, shared="raise RuntimeError('was run')\nITEMS = 1")
    assert list(items_of(name, LossItem)) == ["one"]


@pytest.mark.parametrize(
    ("stem", "text", "what"),
    [
        ("two", ONE, "ITEM of found_bad.two is called 'one', not 'two' as its file"),
        ("one", "ITEM = 3", "ITEM of found_bad.one is no LossItem"),
        ("one", "class One: name = 'one'\nITEM = One", "ITEM of found_bad.one is no LossItem"),
        (
            "one",
            "from workers.contract.items import LossItem\nITEM = LossItem",
            "ITEM of found_bad.one is called None, not 'one' as its file",
        ),
    ],
)
def test_an_item_that_does_not_fit_is_refused(package, stem, text, what):
    """By the name of its file."""
    name = package("found_bad", **{stem: text})
    with pytest.raises(TypeError) as caught:
        items_of(name, LossItem)
    assert str(caught.value) == what


def test_an_item_that_needs_what_is_made_of_items_is_refused_with_the_cure(package):
    """Python alone would speak of a partially initialized module."""
    name = package("found_high", one="from workers.contract.records import no_such_name\n" + ONE)
    with pytest.raises(ImportError) as caught:
        items_of(name, LossItem)
    assert str(caught.value).startswith(
        "found_high.one cannot be read: cannot import name 'no_such"
    )
    assert str(caught.value).endswith(
        "; at module level an item imports of workers.contract only what items.py names"
    )


def test_reading_all_declarations_imports_nothing_heavy():
    """Planning and concluding read them too."""
    code = (
        "import sys; import workers.contract.registry\n"
        "heavy = {'tensorflow', 'keras', 'ray', 'sklearn', 'pandas', 'scipy', 'pyarrow', 'PIL', 'pooch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", STATISTICS)
def test_quantities_of_a_statistic_stand_in_the_glossary_once(name):
    """Known ones by name; a new one as an entry, which is no second entry of a known name."""
    declared = STATISTICS[name].quantities
    assert len(set(STATISTIC_QUANTITIES[name])) == len(declared)
    assert set(STATISTIC_QUANTITIES[name]) <= set(GLOSSARY)
    assert all(GLOSSARY[each.name] == each for each in declared if isinstance(each, Quantity))


def test_numerics_versions_are_those_of_the_stores_there_are():
    """Raising one measures anew: never by the way."""
    versions = {name: item.numerics_version for name, item in STATISTICS.items()}
    assert versions == {
        "batch_noise": 3, "fork": 2, "hessian": 3, "losses": 2, "noise_curvature": 3, "spectrum": 3,
        "tail": 3, "traces": 3,
    }  # fmt: skip


def test_what_items_declare_of_themselves():
    """What was told apart by name elsewhere before."""

    def those(items, fact):
        return [name for name, item in items.items() if getattr(item, fact)]

    assert those(STATISTICS, "is_along_the_way") == ["fork", "tail"]
    assert those(STATISTICS, "needs_spread") == [name for name in STATISTICS if name != "losses"]
    assert those(MODELS, "needs_images") == ["resnet"]
    assert those(MODELS, "is_right_with_onednn") == ["resnet"]
    assert those(LOSSES, "needs_labels") == ["gradlog_l1", "gradlog_l2", "kld"]
    assert those(LOSSES, "takes_softmax") == ["gradlog_l1", "gradlog_l2", "kld"]
    assert all(issubclass(item, StatisticItem) for item in STATISTICS.values())
