"""What to measure on a kept model: one frozen spec a statistic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from workers.contract.catalog import is_plugin
from workers.contract.excursions import ForkSpec, TailSpec
from workers.contract.frozen import Count, Finite, Frozen, Seed, refuse_repeats
from workers.contract.specs import PLUGIN, PluginSpec, name_tag

Split = Literal["train", "test"]
BatchNormMode = Literal["frozen", "moving_average"]


Objective = Literal["data", "total"]
SpectrumKind = Literal["hessian", "noise"]
Probes = Annotated[int, Field(ge=64, le=10**6)]
"""Independent units of an estimate; the least number is set by measured coverage."""


def _differing(splits: list[Split]) -> list[Split]:
    refuse_repeats("splits", splits)
    return splits


def _differing_kinds(kinds: list[SpectrumKind]) -> list[SpectrumKind]:
    refuse_repeats("kinds", kinds)
    return kinds


def _differing_multiples(multiples: list[int]) -> list[int]:
    refuse_repeats("multiples", multiples)
    return multiples


Splits = Annotated[list[Split], AfterValidator(_differing)]


class LossesSpec(Frozen):
    """Mean loss and accuracy of the kept model over whole splits."""

    name: Literal["losses"] = "losses"
    splits: Splits = Field(default=["train", "test"], min_length=1)
    bn_mode: BatchNormMode = "frozen"


class TracesSpec(Frozen):
    """tr σ² exactly and tr H by the first-order route, whole model and per layer.

    `columns`: "exact" uses every column of the loss Hessian's square root (stderr 0); a number K
    uses K Rademacher columns for each example. `replicate_examples` is how many further, independent
    sets of columns are drawn, from which the standard error comes: more of them for examples of large
    gradients, and several for each example where there are fewer examples. The least number is set by
    measured coverage.
    """

    name: Literal["traces"] = "traces"
    columns: Literal["exact"] | Count = 1
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"
    replicate_examples: Annotated[int, Field(ge=1000, le=10**9)] = 2000
    probe_seed: Seed = 0


class EstimateSpec(Frozen):
    """An estimate from independent probes: how many, or until its interval is narrow enough.

    `num_probes` are taken, and with `until` more, up to `max_probes`, until half the width of the 95 %
    interval of the whole model's value is at most `until` times the value. The least number of
    probes is 64: below it Student's interval covers less than it says (measured).
    """

    num_probes: Probes = 64
    until: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    max_probes: Probes = 1024
    probe_seed: Seed = 0

    @model_validator(mode="after")
    def _has_room(self) -> EstimateSpec:
        if self.max_probes < self.num_probes:
            raise ValueError(
                f"max_probes {self.max_probes} is below num_probes {self.num_probes}; "
                "raise the one or lower the other"
            )
        return self


class NoiseCurvatureSpec(EstimateSpec):
    """tr(σ²H), unbiased, with ∇LᵀH∇L and both noise scales; whole model and each layer's share.

    A probe is 32 example gradients against the curvature of 32 examples, all drawn in proportion to
    their norms, and one Hessian-vector product of the residual curvature on one batch.
    """

    name: Literal["noise_curvature"] = "noise_curvature"
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"


class HessianSpec(EstimateSpec):
    """Top eigenvalues of the Hessian by Lanczos, and tr H, tr H² by probes beside its directions.

    Lanczos steps are taken until the residual norms of `num_eigenpairs` values are at most
    `eigenvalue_tolerance` times the largest value, or `max_lanczos_steps` are spent; 0 eigenpairs take
    the probes alone. `num_examples` measures a random subset of the split.
    """

    name: Literal["hessian"] = "hessian"
    num_eigenpairs: Annotated[int, Field(ge=0, le=1000)] = 10
    max_lanczos_steps: Annotated[int, Field(ge=1, le=10_000)] = 100
    eigenvalue_tolerance: Annotated[Finite, Field(gt=0, lt=1)] = 1e-3
    objective: Objective = "data"
    num_examples: Count | None = None
    splits: Splits = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"

    @model_validator(mode="after")
    def _has_steps(self) -> HessianSpec:
        if self.max_lanczos_steps < self.num_eigenpairs:
            raise ValueError(
                f"max_lanczos_steps {self.max_lanczos_steps} is below num_eigenpairs "
                f"{self.num_eigenpairs}; raise the one or lower the other"
            )
        return self


class SpectrumSpec(Frozen):
    """Spectral measures of the Hessian by Lanczos quadrature: of Rademacher and of noise vectors.

    `num_steps` nodes for each of `num_draws` vectors of each kind. The laws need `objective: total`.
    """

    name: Literal["spectrum"] = "spectrum"
    num_steps: Annotated[int, Field(ge=2, le=10_000)] = 80
    num_draws: Annotated[int, Field(ge=1, le=10_000)] = 4
    kinds: Annotated[list[SpectrumKind], AfterValidator(_differing_kinds)] = Field(
        default=["hessian", "noise"], min_length=1
    )
    objective: Objective = "data"
    num_examples: Count | None = None
    splits: Annotated[Splits, Field(max_length=1)] = Field(default=["train"], min_length=1)
    bn_mode: BatchNormMode = "frozen"
    probe_seed: Seed = 0


class BatchNoiseSpec(EstimateSpec):
    """What drives SGD in training mode: m tr cov(g_B) at multiples of the batch size m, and tr H at m.

    Batch norm takes each batch's own statistics (`bn_mode: batch`). A probe is a pair of independent
    batches of each size.
    """

    name: Literal["batch_noise"] = "batch_noise"
    multiples: Annotated[list[Count], AfterValidator(_differing_multiples)] = Field(
        default=[1, 2, 4], min_length=1
    )
    num_probes: Annotated[int, Field(ge=128, le=10**6)] = 128
    bn_mode: Literal["batch"] = "batch"


_WITHOUT_SPREAD = ("losses",)


def needs_spread(name: str) -> bool:
    """Say whether a statistic of this name measures how examples differ; not known of plugins."""
    return name not in _WITHOUT_SPREAD and not is_plugin(name)


def _from_bare_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


StatisticSpec = Annotated[
    Annotated[LossesSpec, Tag("losses")]
    | Annotated[TracesSpec, Tag("traces")]
    | Annotated[HessianSpec, Tag("hessian")]
    | Annotated[NoiseCurvatureSpec, Tag("noise_curvature")]
    | Annotated[SpectrumSpec, Tag("spectrum")]
    | Annotated[BatchNoiseSpec, Tag("batch_noise")]
    | Annotated[ForkSpec, Tag("fork")]
    | Annotated[TailSpec, Tag("tail")]
    | Annotated[PluginSpec, Tag(PLUGIN)],
    Discriminator(name_tag),
    BeforeValidator(_from_bare_name),
]
