"""The laws by name, in the order in which they are shown."""

from __future__ import annotations

from analysis.predictions import jastrzebski_9, wang_4_45
from analysis.predictions.law import Law

LAWS: dict[str, Law] = {
    wang_4_45.NAME: wang_4_45.predict,
    jastrzebski_9.NAME: jastrzebski_9.predict,
}
