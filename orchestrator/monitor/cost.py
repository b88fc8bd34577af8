"""What a plan would cost in money, by the prices that the user gives for an hour of a device."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue
from rich.table import Table

from orchestrator.machine.whole_table import WholeTable
from orchestrator.monitor.plan_report import PlanReport, hours
from orchestrator.monitor.status import known
from orchestrator.planning.accelerators import accelerator_faults
from workers.contract.errors import Fault, UserError, shortened

CORE, ANY_GPU = "CPU", "GPU"
"""Names for one core, and for a GPU of whatever kind, beside those that Ray has for kinds of GPUs."""
_PRICE = re.compile(r"([^=]+)=([0-9]{1,9}(?:\.[0-9]{1,9})?)")
_OPTION = "--price"


def read_prices(texts: Sequence[str]) -> dict[str, float]:
    """Read prices such as H100=2.50, of an hour of one device each; the last of a device counts.

    Raises:
        UserError: All that are none, or of no device that is known.
    """
    found = {text: _PRICE.fullmatch(text) for text in texts}
    faults = [fault for text, each in found.items() for fault in _faults(text, each)]
    if faults:
        raise UserError(faults)
    return {each[1]: float(each[2]) for each in found.values() if each}


def _faults(text: str, found: re.Match[str] | None) -> Iterator[Fault]:
    if found is None:
        mend = "write DEVICE=PRICE, such as H100=2.50 or CPU=0.04, for an hour of one"
        yield Fault(f"{shortened(text)!r} is no price", _OPTION, mend)
    else:
        yield from accelerator_faults(found[1], _OPTION, frozenset({CORE, ANY_GPU}))


def cost_table(report: PlanReport, prices: Mapping[str, float]) -> Table | str:
    """Tabulate what all open work would cost on each device that has a price; a sentence where none has."""
    rows = _costs(report, prices)
    if not rows:
        example = "H100=2.50" if report.prepared.sweep.resources.gpus else f"{CORE}=0.04"
        unit = report.unit.removesuffix("s")
        return f"what a {unit} costs is not given: --price {example} adds what the plan would cost"
    table = WholeTable(title="what it would cost, were all of it done on one kind of device")
    table.add_column("device")
    for heading in (report.unit, "price of one", "cost"):
        table.add_column(heading, justify="right")
    for device, cost in rows.items():
        told = f"{cost:,.2f}" if math.isfinite(cost) else "unknown"
        table.add_row(device, hours(report.cost), f"{prices[device]:,.10g}", told)
    return table


def cost_document(report: PlanReport, prices: Mapping[str, float]) -> JsonValue:
    """Return the same as JSON, by device; what is unknown is null."""
    return {
        device: {"price": prices[device], "cost": known(cost)}
        for device, cost in _costs(report, prices).items()
    }


def _costs(report: PlanReport, prices: Mapping[str, float]) -> dict[str, float]:
    """Return the cost by device; a price of cores says nothing of trials on GPUs, nor the other way round."""
    on_gpus = report.prepared.sweep.resources.gpus > 0
    return {
        device: report.cost * price
        for device, price in prices.items()
        if (device != CORE) == on_gpus
    }
