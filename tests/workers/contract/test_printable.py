from __future__ import annotations

import json
import unicodedata

import pytest

from workers.contract.printable import on_one_line, printable, printable_json


def test_what_steers_a_terminal_is_shown():
    """Escapes, bells, backspaces, marks that turn the direction of writing, bytes that are no text."""
    assert printable("a\x1b[2J\b\r\x07\x00\x7f\x9b\u202e\udcffz") == (
        r"a\x1b[2J\x08\x0d\x07\x00\x7f\x9b\u202e\xffz"
    )
    assert on_one_line("a\nb\tc\x1b") == r"a⏎b⇥c\x1b"


def test_no_control_character_is_left_and_all_other_text_stays():
    """Of all there are in Unicode, held against its own list of kinds; again changes nothing."""
    every = "".join(map(chr, range(0x3000)))
    left = {sign for sign in printable(every) if unicodedata.category(sign) == "Cc"}
    assert left == {"\t", "\n"}
    assert printable("η ± σ² → 0 – ‖θ‖ é") == "η ± σ² → 0 – ‖θ‖ é"
    assert printable(printable(every)) == printable(every)


@pytest.mark.parametrize("value", ["a\x9b\u202e\x7f", {"\x9b": ["\x85"]}, "η"])
def test_a_json_document_keeps_its_value(value):
    """Written with escapes, read back equal."""
    text = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert printable(text) == text
