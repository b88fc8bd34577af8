"""The glossary covers every quantity of the store, each once, in the same words."""

import pytest

from workers.contract.quantities import GLOSSARY
from workers.contract.schema import CELL_QUANTITIES, CELLS


def test_the_glossary_and_the_cells_name_the_same_quantities():
    """Each with its mean and error as columns."""
    assert tuple(GLOSSARY) == CELL_QUANTITIES
    for name in GLOSSARY:
        assert {f"{name}_mean", f"{name}_stderr"} <= set(CELLS.names)


@pytest.mark.parametrize("name", GLOSSARY)
def test_every_entry_is_complete(name):
    """A name, a symbol for labels, a unit, and one sentence."""
    quantity = GLOSSARY[name]
    assert quantity.name == name
    assert quantity.symbol
    assert quantity.unit
    assert quantity.meaning.endswith(".")


def test_units_follow_from_the_symbols():
    """σ² is in loss²/parameter², H in loss/parameter²; so tr(σ²H) is the product of both."""
    units = {name: quantity.unit for name, quantity in GLOSSARY.items()}
    assert units["gradient_noise_trace"] == units["gradient_norm_squared"] == "loss²/parameter²"
    assert units["hessian_trace"] == units["hessian_top_eigenvalue"] == "loss/parameter²"
    assert units["hessian_noise_trace"] == "loss³/parameter⁴"
    assert units["hessian_frobenius_squared"] == "loss²/parameter⁴"
