"""Parameters, and the bytes they take."""

from __future__ import annotations

from blockzoo.core.contracts import QUANTITIES
from blockzoo.core.quantity import OnPaper, Quantity, Specimen
from blockzoo.measure.size import count_params


@QUANTITIES.register("params_total")
class ParamsTotal(OnPaper[int]):
    """Parameters of the network in its deployed form."""

    unit, label, heading, place = "parameters", "parameters, deployed", ("params, k", 1e3), 10
    axis, picture = "parameters, deployed", "params"

    def measure(self, specimen: Specimen) -> int:
        return count_params(specimen.module).total


@QUANTITIES.register("params_trainable")
class ParamsTrainable(OnPaper[int]):
    """Those of them that take gradients."""

    unit, label, of_stage, place = "parameters", "  of them trainable", False, 20

    def measure(self, specimen: Specimen) -> int:
        return count_params(specimen.module).trainable


@QUANTITIES.register("params_trained")
class ParamsTrained(OnPaper[int]):
    """Parameters in the form that is trained (all branches)."""

    unit, label, form, place = "parameters", "parameters, trained", "built", 30

    def measure(self, specimen: Specimen) -> int:
        return count_params(specimen.module).total


@QUANTITIES.register("model_bytes")
class ModelBytes(OnPaper[int]):
    """Bytes of the fp32 weights of the deployed form."""

    unit, label, stored, place = "bytes", "weights, fp32", False, 60

    def measure(self, specimen: Specimen) -> int:
        return 4 * count_params(specimen.module).total


@QUANTITIES.register("memory_mb")
class MemoryMb(Quantity):
    """params_total x 4 / 2^20: the fp32 weights in MiB, as earlier tables had it.

    A column of the results alone, made from that of the parameters.
    """

    unit, of_stage, place = "MiB", False, 90
    axis, picture, instead_of = "fp32 weights, MiB", "memory", "peak_activation_bytes"
