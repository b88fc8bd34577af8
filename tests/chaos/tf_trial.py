"""The real trial with TensorFlow; a test can have it stand still at a place, and sees when it ran."""

from __future__ import annotations

from pathlib import Path

from side_log import Notes, side_folder, take_armed_fault

from workers import trial
from workers.contract.orders import EXIT_DONE, Order


def run_child(order_path: str) -> int:
    """Carry out the order in a file."""
    order = Order.model_validate_json(Path(order_path).read_text())
    notes = Notes(side_folder(), order)
    take_armed_fault(side_folder(), order, notes)
    notes.note("working")
    code = trial.run_child(order_path)
    if code == EXIT_DONE:
        notes.note("committed")
    notes.note("end", status=str(code))
    return code
