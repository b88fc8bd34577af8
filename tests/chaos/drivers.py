"""A driver in a process of its own: the real command, its output, and everything it has started."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time

import psutil
from surroundings import HERE, Place, seconds_until_gone, with_variable

_MARK = "CHAOS_DRIVER"
_ORDERLY = {0, 1, 3}
"""All done, something failed, drained or lost; never an internal error, never a refusal."""
LONGEST_EXIT_SECONDS = 90.0
_numbers = itertools.count()


class Driver:
    """One life of the command `minima run`."""

    def __init__(self, place: Place, arguments: list[str], *, entry: str, **more: str) -> None:
        self.number = next(_numbers)
        self._place = place
        self.output = place.root / f"driver{self.number}.out"
        self.errors = place.root / f"driver{self.number}.err"
        self._mark = f"{place.root}:{self.number}"
        environment = place.environment(CHAOS_ENTRY=entry, **{_MARK: self._mark}, **more)
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(HERE / "chaos_driver.py"), "run", *arguments],
                env=environment,
                cwd=place.stand,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self.started_at = time.time()
        self.was_killed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The code it left with; None while it runs, negative where a signal ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> bool:
        """Send the driver, and it alone, a signal; say whether it was there to get it."""
        is_there = self.exit_code is None
        self._process.send_signal(number)
        return is_there

    def kill(self) -> list[psutil.Process]:
        """Kill the driver; give what it leaves behind."""
        left = self._own()
        self.was_killed = self.exit_code is None
        self._process.kill()
        self._process.wait()
        return left

    def wait(self, seconds: float = LONGEST_EXIT_SECONDS) -> int:
        """Wait for the driver's own end and check that it was an orderly one."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"driver {self.number} did not leave\n{self.told()}") from None
        self.check_end()
        return int(self._process.returncode)

    def check_end(self) -> None:
        """Check the exit code and that nobody is shown a stack trace."""
        if not self.was_killed:
            assert self.exit_code in _ORDERLY, f"exit code {self.exit_code}\n{self.told()}"
        assert "Traceback" not in self.errors.read_text(), self.told()

    def told(self) -> str:
        """Give the end of what it said."""
        return f"{self.output.read_text()[-1500:]}\n{self.errors.read_text()[-3000:]}"

    def seconds_until_alone(self, left: list[psutil.Process]) -> float:
        """Wait until everything it had started is gone."""
        return seconds_until_gone([*left, *self._own()], f"what driver {self.number} had started")

    def _own(self) -> list[psutil.Process]:
        """List the living processes that carry this driver's mark, itself aside."""
        found = with_variable(_MARK, self._mark)
        return [process for process in found if process.pid != self.pid]
