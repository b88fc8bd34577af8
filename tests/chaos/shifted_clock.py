"""A clock that is wrong: every module of the project that asks the time of day gets another one."""

from __future__ import annotations

import datetime as real
import sys


def shift(offset: real.timedelta) -> None:
    """Put the time of day of all modules imported so far off by an offset, from now on; monotonic clocks stay."""

    class Shifted(real.datetime):
        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> real.datetime:
            return real.datetime.now(tz) + offset

    for name, module in list(sys.modules.items()):
        is_ours = name.split(".")[0] in {"orchestrator", "workers", "numpy_trial"}
        found = getattr(module, "datetime", None)
        if is_ours and isinstance(found, type) and issubclass(found, real.datetime):
            module.datetime = Shifted
