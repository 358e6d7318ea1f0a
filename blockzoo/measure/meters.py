"""Counters of energy: RAPL of processors, NVML of Nvidia's GPUs."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from blockzoo.core.errors import UsageError, reason_of
from blockzoo.core.extras import needed

if TYPE_CHECKING:
    import torch

POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(r"intel-rapl:\d+")
"""Zones of whole packages: those below them are parts of these, `intel-rapl-mmio` is the same again. AMD's have this name too."""
MOST_WATTS = 1000.0
"""Of one package: in less time than it takes to fill its counter so, the counter cannot have begun anew twice."""


class Reading(NamedTuple):
    """What counters showed, in their own units, and when, in seconds of a clock that only goes forward."""

    counters: tuple[int, ...]
    at: float


class Meter(Protocol):
    """Reads counters of energy: `what` says of which parts of the machine, `least` is the shortest time that they resolve, in
    seconds.
    """

    what: str
    least: float

    def read(self) -> Reading:
        """What they show now."""
        ...

    def joules(self, before: Reading, after: Reading) -> float:
        """Between two readings."""
        ...


class Rapl:
    """The processor packages of this machine, whoever uses them; memory modules are not in it.

    The counters of Linux's power capping framework count microjoules and begin anew at `max_energy_range_uj`.

    Source: Linux, Documentation/power/powercap/powercap.rst.

    Args:
        folder: where they are.

    Raises:
        UsageError: there are none, or they cannot be read; says why and what to do.
    """

    least = 0.1  # they are updated every millisecond or so

    def __init__(self, folder: Path = POWERCAP) -> None:
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is not there: the kernel shows no counters of energy, as in most containers and virtual machines"
            )
        zones = [zone for zone in sorted(folder.iterdir()) if PACKAGE.fullmatch(zone.name)]
        self._zones = [zone for zone in zones if _text(zone / "name").startswith("package")]
        if not self._zones:
            raise UsageError(f"{folder} has no counter of a processor package (intel-rapl:0 and so on)")
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in self._zones]
        many = len(self._zones)
        self.what = f"RAPL, {many} processor package{'s' * (many != 1)}"
        self.read()

    def read(self) -> Reading:
        """Microjoules of each package."""
        return Reading(tuple(_number(zone / "energy_uj") for zone in self._zones), time.monotonic())

    def joules(self, before: Reading, after: Reading) -> float:
        """Of all packages; a counter that is lower afterwards began anew once.

        Raises:
            UsageError: it can have begun anew more than once.
        """
        total, seconds = 0, after.at - before.at
        for zone, largest, first, last in zip(
            self._zones, self._ranges, before.counters, after.counters, strict=True
        ):
            if seconds * MOST_WATTS * 1e6 >= largest:
                raise UsageError(
                    f"{zone}: {seconds:.0f} s between two readings, in which its counter can have begun anew twice: take a "
                    "smaller batch"
                )
            total += (last - first) % largest if last < first else last - first
        return total / 1e6


class Nvml:
    """One GPU with its memory, by NVML (extra `energy`), whoever uses it; the processor beside it is not in it.

    Args:
        device: which.

    Raises:
        UsageError: the package is missing, or the GPU has no such counter (it came with Volta).
    """

    least = 1.0  # it is updated some ten times a second

    def __init__(self, device: torch.device) -> None:
        import torch

        self._nvml = needed("pynvml", "energy", "energies of GPUs")
        try:
            self._nvml.nvmlInit()
            name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self._handle: Any = self._nvml.nvmlDeviceGetHandleByUUID(name)
            self.read()
        except self._nvml.NVMLError as error:
            raise UsageError(f"NVML does not give the energy of the GPU: {reason_of(error)}") from error
        self.what = "NVML, the GPU with its memory"

    def read(self) -> Reading:
        """Millijoules since the driver was loaded."""
        return Reading((int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)),), time.monotonic())

    def joules(self, before: Reading, after: Reading) -> float:
        """Of the GPU."""
        return (after.counters[0] - before.counters[0]) / 1e3


def meter_of(device: torch.device, folder: Path = POWERCAP) -> Meter:
    """The counters of a device: of all packages for a CPU.

    Raises:
        UsageError: they cannot be read; says why.
    """
    return Nvml(device) if device.type == "cuda" else Rapl(folder)


def _number(file: Path) -> int:
    text = _text(file)
    if not text.isdecimal():
        raise UsageError(f"{file} holds no number: {text[:40]!r}")
    return int(text)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except PermissionError:
        raise UsageError(
            f"{file} may be read by root alone, as Linux has it: `sudo chmod a+r {file.parent.parent}/intel-rapl:*/energy_uj` "
            "lets others until the next start"
        ) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
