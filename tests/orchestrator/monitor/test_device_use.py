"""What each GPU does."""

from __future__ import annotations

import pytest

from orchestrator.monitor.device_use import device_use


def test_attempts_by_host_and_device(make_beat):
    """Shares of one device add up; one on two whole GPUs holds both; 2 comes before 10."""
    beats = [
        make_beat("a", host="b", devices="10", device_share=0.5),
        make_beat("b", host="b", devices="2", device_share=0.5),
        make_beat("c", host="b", devices="2", device_share=0.5),
        make_beat("d", host="a", devices="0,1", device_share=2.0),
        make_beat("e", host="b", devices="GPU-5c", device_share=1.0),
        make_beat("f", host="b"),
    ]
    found = [
        (u.host, u.device, u.share, [b.trial_id for b in u.attempts]) for u in device_use(beats)
    ]
    assert found == [
        ("a", "0", 1.0, ["d"]),
        ("a", "1", 1.0, ["d"]),
        ("b", "2", 1.0, ["b", "c"]),
        ("b", "10", 0.5, ["a"]),
        ("b", "GPU-5c", 1.0, ["e"]),
        ("b", "none", 0.0, ["f"]),
    ]


@pytest.mark.parametrize("devices", ["", "-1", "0"])
def test_without_a_share_there_is_no_device(make_beat, devices):
    """Whatever was visible."""
    (use,) = device_use([make_beat("t", devices=devices)])
    assert (use.device, use.share) == ("none", 0.0)


def test_more_than_a_device_shows(make_beat):
    """It must never be; if it is, the sum says so."""
    beats = [make_beat(name, devices="0", device_share=0.5) for name in "abc"]
    assert device_use(beats)[0].share == 1.5
