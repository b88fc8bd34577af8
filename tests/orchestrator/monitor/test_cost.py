"""What a plan would cost is its device-hours times the prices that are given."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.monitor.cost import cost_document, cost_table, read_prices
from orchestrator.monitor.plan_report import plan_report
from orchestrator.planning.fit import Node
from orchestrator.planning.prepare import Options, prepare
from workers.contract.errors import UserError
from workers.contract.sweep_spec import ResourcesSpec

NODES = [Node("a", 8, 4)]


@pytest.fixture
def report_of(toy_sweep):
    """Make the report of a sweep whose trials hold these."""

    def make(**resources: object):
        toy_sweep(seeds=2)
        prepared = prepare("toy.yaml", Options("store"))
        changes = {"resources": ResourcesSpec(**resources)}
        sweep = prepared.sweep.model_copy(update=changes)
        return plan_report(replace(prepared, sweep=sweep), NODES)

    return make


def rows_of(table: object) -> list[list[str]]:
    stream = io.StringIO()
    Console(file=stream, width=200).print(table)
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("│")]
    return [[part.strip() for part in line.split("│")][1:-1] for line in lines]


def test_each_device_with_a_price_has_a_row(report_of):
    """The hours are those of the plan; a price of cores says nothing of GPUs."""
    report = report_of(gpus=1, cpus=1)
    hours = report.cost
    prices = read_prices(["H100=2.50", "T4=1", "CPU=0.04", "H100=3"])
    first, second = rows_of(cost_table(report, prices))
    assert (first[0], first[2], first[3]) == ("H100", "3", f"{3 * hours:,.2f}")
    assert (second[0], second[2], second[3]) == ("T4", "1", f"{hours:,.2f}")
    assert cost_document(report, prices) == {
        "H100": {"price": 3.0, "cost": pytest.approx(3 * hours)},
        "T4": {"price": 1.0, "cost": pytest.approx(hours)},
    }


def test_cores_have_a_price_of_their_own(report_of):
    """As `CPU`."""
    report = report_of(gpus=0, cpus=2)
    ((device, _, price, cost),) = rows_of(cost_table(report, read_prices(["CPU=0.04", "H100=2"])))
    assert (device, price, cost) == ("CPU", "0.04", f"{0.04 * report.cost:,.2f}")


def test_without_a_price_a_sentence_says_how_to_give_one(report_of):
    """Of the device that trials hold."""
    assert cost_table(report_of(gpus=1, cpus=1), {}) == (
        "what a GPU-hour costs is not given: --price H100=2.50 adds what the plan would cost"
    )
    assert "a core-hour costs is not given: --price CPU=0.04" in cost_table(report_of(), {})


def test_an_unknown_time_has_an_unknown_cost(report_of):
    """In JSON it is null."""
    report = report_of(gpus=1, cpus=1)
    unknown = replace(report, cell_costs=dict.fromkeys(report.cell_costs, math.nan))
    assert rows_of(cost_table(unknown, {"GPU": 1.0})) == [["GPU", "unknown", "1", "unknown"]]
    assert cost_document(unknown, {"GPU": 1.0}) == {"GPU": {"price": 1.0, "cost": None}}


def test_all_that_are_no_prices_are_told():
    """With what each is to be."""
    with pytest.raises(UserError) as error:
        read_prices(["H100", "=2", "H100=-1", "h100=2", "CPU=free"])
    told = [(fault.what, fault.where) for fault in error.value.faults]
    assert told == [
        ("'H100' is no price", "--price"),
        ("'=2' is no price", "--price"),
        ("'H100=-1' is no price", "--price"),
        ("no accelerator named 'h100'", "--price"),
        ("'CPU=free' is no price", "--price"),
    ]
    assert "write DEVICE=PRICE, such as H100=2.50 or CPU=0.04" in error.value.faults[0].mend
    assert error.value.faults[3].mend == "did you mean 'H100'?"
