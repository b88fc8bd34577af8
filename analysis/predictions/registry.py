"""The laws by name, in the order in which they are shown."""

from __future__ import annotations

from analysis.predictions import (
    finite_learning_rate,
    finite_time,
    finite_time_drift,
    jastrzebski_9,
    shuffled,
    state_dependent,
    wang_4_45,
    wang_4_46,
)
from analysis.predictions.law import Law

LAWS: dict[str, Law] = {
    wang_4_45.NAME: wang_4_45.predict,
    jastrzebski_9.NAME: jastrzebski_9.predict,
    wang_4_46.NAME: wang_4_46.predict,
    finite_learning_rate.NAME: finite_learning_rate.predict,
    finite_time.NAME: finite_time.predict,
    finite_time_drift.NAME: finite_time_drift.predict,
    shuffled.NAME: shuffled.predict,
    state_dependent.NAME: state_dependent.predict,
}
