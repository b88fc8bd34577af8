"""Deaths of the driver, by every signal, once and twice; two drivers; a driver whose clock is wrong."""

from __future__ import annotations

import signal
import time

from ground import Ground, Missed
from side_log import change_settings
from surroundings import wait_until

_DRAIN_SECONDS = 40.0
_DAY = 86400.0


def kill_driver(ground: Ground) -> None:
    """The driver is killed; the next one starts at once, while what the first left behind is ending."""
    with ground.fault("driver SIGKILL"):
        ground.wait_for_attempts()
        time.sleep(ground.world.rng.uniform(0, 1.5))
        alive = ground.attempts()
        left = ground.driver.kill()
        now = time.time()
        for seen in alive:
            if seen.is_alive:
                ground.world.evidence.note_death(seen, now)
        killed = ground.driver
        ground.drop_driver()
        ground.ensure()
        ground.world.tally.gone_seconds.append(killed.seconds_until_alone(left))
        started = time.monotonic()
        wait_until(lambda: not any(seen.is_alive for seen in alive), 30, "the end of its attempts")
        ground.world.tally.gone_seconds.append(time.monotonic() - started)
        if not killed.was_killed:
            raise Missed("the driver had left")


def kill_driver_early(ground: Ground) -> None:
    """The driver is killed at any moment of its start."""
    with ground.fault("driver SIGKILL while it starts"):
        if ground.driver is not None:
            ground.driver.kill()
            ground.drop_driver()
        driver = ground.ensure()
        time.sleep(ground.world.rng.uniform(0.3, 3.5))
        left = driver.kill()
        ground.drop_driver()
        ground.world.tally.gone_seconds.append(driver.seconds_until_alone(left))
        if not driver.was_killed:
            raise Missed("the driver had left")


def signal_driver(ground: Ground, number: signal.Signals, *, times: int) -> None:
    """A signal drains the run, a second one ends it at once; both say 3 unless all is done."""
    with ground.fault(f"driver {number.name} {'once' if times == 1 else 'twice'}"):
        ground.wait_for_attempts()
        driver = ground.driver
        is_hit = True
        for _ in range(times):
            is_hit = driver.send(number)
            time.sleep(ground.world.rng.uniform(0.2, 1.0))
        assert driver.wait(_DRAIN_SECONDS) in {0, 3}, driver.told()
        left = driver.seconds_until_alone([])
        ground.world.tally.gone_seconds.append(left)
        alive = ground.attempts()
        wait_until(lambda: not any(seen.is_alive for seen in alive), 30, "the end of its attempts")
        ground.drop_driver()
        if not is_hit:
            raise Missed("the driver had left")


def second_driver(ground: Ground) -> None:
    """A second driver on the same sweep; then one of them is killed, or both go on."""
    with ground.fault("two drivers on one sweep"):
        ground.wait_for_attempts()
        second = ground.start_driver()
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline and second.exit_code is None:
            if any(seen.began_at > second.started_at + 4 for seen in ground.attempts()):
                break
            ground.ensure()
            time.sleep(0.1)
        time.sleep(ground.world.rng.uniform(0, 2))
        if ground.world.rng.random() < 0.5 and second.exit_code is None:
            left = second.kill()
            ground.world.tally.gone_seconds.append(second.seconds_until_alone(left))
        else:
            second.send(signal.SIGTERM)
            second.wait(_DRAIN_SECONDS)


def wrong_clock(ground: Ground) -> None:
    """A driver and its attempts live a day ago, or a day ahead; those before and after do not."""
    offset = ground.world.rng.choice([-_DAY, _DAY])
    with ground.fault("clock set back, or ahead and then back"):
        ground.ensure().kill()
        ground.drop_driver()
        change_settings(ground.world.place.side, clock_offset_seconds=offset)
        shifted = ground.driver = ground.start_driver(CHAOS_CLOCK_OFFSET=str(offset))
        rows = ground.checks.check()
        ground.wait(
            lambda: ground.driver is not shifted or ground.checks.check() > rows + 3, "some commits"
        )
        change_settings(ground.world.place.side, clock_offset_seconds=0.0)
        if ground.driver is shifted:
            shifted.kill()
            ground.drop_driver()
