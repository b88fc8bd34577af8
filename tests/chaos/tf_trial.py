"""The real trial with TensorFlow; a test can have it stand still at a place, and sees when it did what."""

from __future__ import annotations

from pathlib import Path

from side_log import Notes, side_folder, take_armed_fault

from workers import trial
from workers.contract import fault_injection
from workers.contract.orders import EXIT_DONE, Order


def run_child(order_path: str) -> int:
    """Carry out the order in a file."""
    order = Order.model_validate_json(Path(order_path).read_text())
    notes = Notes(side_folder(), order)
    take_armed_fault(side_folder(), order, notes)
    notes.note("working")
    _note_milestones(notes)
    code = trial.run_child(order_path)
    if code == EXIT_DONE:
        notes.note("committed")
    notes.note("end", status=str(code))
    notes.close()
    return code


_CHECK_DATA, _REACH = trial.check_data, fault_injection.reach


def _note_milestones(notes: Notes) -> None:
    """Note when the data are there, and when the first chunk of training is done."""
    seen: set[str] = set()

    def check_and_note(*given: object) -> None:
        _CHECK_DATA(*given)
        notes.note("loaded")

    def note_and_reach(place: str) -> None:
        if place not in seen:
            seen.add(place)
            notes.note("reached", place=place)
        _REACH(place)

    trial.check_data = check_and_note
    fault_injection.reach = note_and_reach
