"""From a name to the code behind it, and what is said of names that have none."""

import importlib
import sys

import pytest

from workers.contract.catalog import CATALOG, is_plugin, plugin_digest, resolve, unknown_name_fault
from workers.contract.errors import UserError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of the user's own, by text; it is forgotten afterwards."""
    written: list[str] = []

    def write(name: str, text: str) -> str:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(name)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["a:b", "my_package.nets:build", "_a._b:_c", "größe:maß"])
def test_names_of_ones_own(name):
    """A dotted module, a colon, an attribute."""
    assert is_plugin(name)


@pytest.mark.parametrize(
    "name", ["resnet", "a.b", "a:", ":b", "a:b:c", "a b:c", "a.:b", "1a:b", "a:b\n", "../a:b", ""]
)
def test_names_that_are_none(name):
    """Everything else, paths and stray spaces included."""
    assert not is_plugin(name)


@pytest.mark.parametrize("name", CATALOG["dataset"])
def test_built_in_names_lead_to_functions(name):
    """Data sets need no TensorFlow, so they are imported here; the others below."""
    assert callable(resolve("dataset", name))


@pytest.mark.parametrize(
    "path", [path for kind in ("model", "loss", "statistic") for path in CATALOG[kind].values()]
)
def test_built_in_paths_are_well_formed(path):
    """Each is "module:attribute" in this project."""
    assert is_plugin(path)
    assert path.startswith("workers.")


def test_a_name_of_ones_own_is_imported(module):
    """When used, not before."""
    name = module("own_nets_good", "def build(): return 3")
    assert resolve("model", f"{name}:build")() == 3


def test_an_unknown_name_is_answered_with_the_known_ones():
    """As the style guide shows it, for each kind."""
    with pytest.raises(UserError) as caught:
        resolve("model", "resnet65", where="sweeps/toy.yaml, model.name")
    assert str(caught.value) == (
        "no model named 'resnet65'\n"
        "  where: sweeps/toy.yaml, model.name\n"
        "  mend:  did you mean 'resnet'? Known: mlp, resnet. "
        'Your own: "package.module:function"'
    )
    fault = unknown_name_fault("loss", "entropy", "loss")
    assert fault.mend.startswith("Known: gradlog_l1, gradlog_l2, kld, squared_error. Your own")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "AttributeError: module 'own_nets_bad' has no attribute 'build'"),
        ("def build(:", "SyntaxError: invalid syntax"),
        ("import not_installed_here", "ModuleNotFoundError: No module named 'not_installed_here'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_cause(text, cause, module):
    """Whatever the user's code raises while it loads."""
    name = module("own_nets_bad", text)
    with pytest.raises(UserError) as caught:
        resolve("model", f"{name}:build", where="model.name")
    (fault,) = caught.value.faults
    assert fault.what.startswith(f"the model 'own_nets_bad:build' cannot be imported: {cause}")
    assert fault.where == "model.name"
    assert fault.mend == ("install the package where every worker can import it, or mend the name")


def test_the_digest_of_a_plugin_is_of_its_source(module):
    """Twenty characters that change with the file; built-in names have none."""
    name = module("own_package.nets", "build = 1\nraise RuntimeError('must not be run')")
    first = plugin_digest(f"{name}:build", where="model.name")
    assert first is not None
    assert len(first) == 20
    module("own_package.nets", "build = 2\nraise RuntimeError('nor this')")
    importlib.invalidate_caches()
    assert plugin_digest(f"{name}:build", where="model.name") != first
    assert plugin_digest("resnet", where="model.name") is None


@pytest.mark.parametrize("name", ["not_there:f", "not_there.deep:f", "sys:exit", "__main__:f"])
def test_a_plugin_without_a_file_has_no_digest(name, monkeypatch):
    """A module that is missing, built into Python, or not from a file."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    module_name = name.split(":")[0]
    with pytest.raises(UserError) as caught:
        plugin_digest(name, where="loss")
    assert str(caught.value) == (
        f"no module with a file named {module_name!r}\n"
        "  where: loss\n"
        f"  mend:  install the package that holds {name!r} in this environment"
    )


@pytest.mark.parametrize(
    ("text", "fault", "mend"),
    [
        (
            "def built(): build = 3",
            "defines no 'build'",
            "mend the name after the colon, or define",
        ),
        ("", "defines no 'build'", "mend the name after the colon, or define"),
        ("def build(:", "is not Python: SyntaxError: invalid syntax", "mend the file"),
        ("build = '\0'", "is not Python: SyntaxError", "mend the file"),
    ],
)
def test_a_plugin_whose_file_does_not_give_the_name_is_a_fault(text, fault, mend, module):
    """Told while planning, from the source alone."""
    name = module("own_nets_nameless", text)
    importlib.invalidate_caches()
    with pytest.raises(UserError) as caught:
        plugin_digest(f"{name}:build", where="model.name")
    (found,) = caught.value.faults
    assert f"own_nets_nameless.py {fault}" in found.what
    assert found.where == "model.name"
    assert found.mend.startswith(mend)
