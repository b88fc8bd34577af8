"""What the campaigns of CI do: which faults, how often each, in an order that the seed decides."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import faults_processes
from campaign import Campaign, Fault
from evidence import highest_loads
from ground import Ground, Shape

DISK = {
    "driver": 22, "driver early": 2, "signals": 12, "two drivers": 2, "clock": 2, "places": 14,
    "child": 2, "fork server": 2, "slot": 2, "hung child": 2, "hung slot": 2, "raylet": 4,
    "drain": 2, "files": 21, "old rows": 2, "storage": 4,
    "compaction": 4, "own compaction": 4,
}  # fmt: skip
BUCKET = {
    "driver": 8, "driver early": 1, "signals": 6, "two drivers": 1, "clock": 1, "places": 7,
    "child": 1, "fork server": 1, "slot": 1, "hung child": 1, "hung slot": 1, "raylet": 3,
    "drain": 1, "files": 7, "old rows": 1, "storage": 18, "head": 2,
    "compaction": 2, "own compaction": 1,
}  # fmt: skip
TENSORFLOW = {"child": 2, "slot": 1, "fork server": 1, "driver": 2, "raylet": 1, "head": 1}
TENSORFLOW_PLACES = (
    "training_chunk:1", "checkpoint_write:1", "epochs_committed:1", "measurement_batch:1",
    "trial_renaming:1", "model_write:1",
)  # fmt: skip
"""How often each group of faults; a group's faults are taken in turn. A place is the first of its kind: an
attempt that goes on where another was killed has few chunks left."""

_MOST_TRIES = 10

TENSORFLOW_SHAPE = Shape(
    entry="tf_trial",
    is_numpy=False,
    body=(
        "model: {name: resnet, depth: 8}\n"
        "dataset: {name: digits, num_train: 400}\n"
        "training: {epochs: 6, momentum: 0.5, weight_decay: 1.0e-3}\n"
        "measure: [losses, {name: traces, replicate_examples: 1000}]\n"
    ),
    batch_size=32,
    cells=1,
    seeds=5,
    hang_seconds=300.0,
    patience_seconds=300.0,  # TensorFlow is imported and traced beside two other campaigns
    resources=("{gpus: 0, cpus: 1}",),
)


def in_turn(
    groups: Mapping[str, Sequence[Fault]], counts: Mapping[str, int], rng: random.Random
) -> list[Fault]:
    """Give each group's faults in turn as often as asked, all of them in a random order."""
    chosen: list[Fault] = []
    for name, count in counts.items():
        faults = list(groups[name])
        rng.shuffle(faults)
        chosen += [faults[index % len(faults)] for index in range(count) if faults]
    rng.shuffle(chosen)
    return chosen


def happen(fault: Fault, ground: Ground) -> None:
    """Let a fault happen, again where it missed."""
    tally = ground.world.tally
    before = tally.faults.total()
    for _ in range(_MOST_TRIES):
        fault(ground)
        if tally.faults.total() > before:
            return
    raise AssertionError(f"missed {_MOST_TRIES} times: {fault}")


def run_disk(campaign: Campaign) -> None:
    """Every fault on a local disk, then kills where four GPUs are packed."""
    ground = campaign.disk
    for fault in in_turn(campaign.faults_of(ground), DISK, campaign.world.rng):
        happen(fault, ground)
    ground.finish()
    for resources in ("{gpus: 0.5, cpus: 1}", "{gpus: 1, cpus: 2}"):
        _pack(campaign, resources)


def run_bucket(campaign: Campaign) -> None:
    """Every fault on object storage."""
    ground = campaign.bucket
    for fault in in_turn(campaign.faults_of(ground), BUCKET, campaign.world.rng):
        happen(fault, ground)
    ground.finish()


def run_tensorflow(campaign: Campaign) -> None:
    """Deaths of the real trial; the records have the bits of a run that nobody disturbed.

    In that run each order holds a GPU, and so has a process of its own; in the other, one goes on with the next.
    """
    world = campaign.world
    calm = replace(TENSORFLOW_SHAPE, resources=("{gpus: 1, cpus: 1}",))
    undisturbed = Ground("calm", str(world.place.root / "calm"), world, calm)
    ground = Ground("tf", str(world.place.root / "tf"), world, TENSORFLOW_SHAPE)
    kill_at = faults_processes.kill_child_at
    groups = campaign.faults_of(ground) | {
        "places": [partial(kill_at, place=place) for place in TENSORFLOW_PLACES]
    }
    counts = TENSORFLOW | {"places": len(TENSORFLOW_PLACES)}
    for fault in in_turn(groups, counts, world.rng):
        happen(fault, ground)
    ground.finish()
    while undisturbed.num_done < ground.num_done:
        undisturbed.finish()
    ground.assert_same_bits(undisturbed)


def _pack(campaign: Campaign, resources: str) -> None:
    """Kill slots and nodes while every GPU is taken, by whole trials or by halves."""
    world = campaign.world
    name = "halves" if "0.5" in resources else "wholes"
    shape = replace(Shape(), resources=(resources,))
    ground = Ground(name, str(campaign.small_disk.folder / name), world, shape)
    ground.wait_for_attempts(8 if name == "halves" else 4)
    faults = campaign.faults_of(ground)
    for group in ("slot", "raylet", "slot", "raylet", "child"):
        happen(faults[group][0], ground)
    ground.finish()
    seen = [one for one in world.evidence.look() if one.work[0] == ground.uri]
    loads = highest_loads(seen)
    assert len(loads) == 4
    assert set(loads.values()) == {1.0}, loads
