"""Counters of energy, in folders as Linux shows them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.measure.meters import Nvml, Rapl, Reading, meter_of

RANGE = 262_143_328_850


def zone(folder: Path, name: str, kind: str, counter: int, largest: int = RANGE) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    for file, value in (("name", kind), ("energy_uj", counter), ("max_energy_range_uj", largest)):
        (place / file).write_text(f"{value}\n")
    return place


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Two packages; beside them their parts, the whole platform, and the first package again."""
    folder = tmp_path / "powercap"
    zone(folder, "intel-rapl:0", "package-0", 1_000_000)
    zone(folder, "intel-rapl:1", "package-1", 5_000_000)
    zone(folder, "intel-rapl:0:0", "core", 10)
    zone(folder, "intel-rapl:2", "psys", 99)
    zone(folder, "intel-rapl-mmio:0", "package-0", 1_000_000)
    (folder / "intel-rapl").mkdir()
    return folder


def count(folder: Path, name: str, value: object) -> None:
    (folder / name / "energy_uj").write_text(f"{value}\n")


def test_packages_are_added_up_and_nothing_is_counted_twice(machine: Path) -> None:
    meter = meter_of(torch.device("cpu"), machine)
    before = meter.read()
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
        count(machine, name, 8_000_000)
    assert meter.joules(before, meter.read()) == 7 + 3
    assert meter.what == "RAPL, 2 processor packages"


def test_a_counter_begins_anew(machine: Path) -> None:
    count(machine, "intel-rapl:1", RANGE - 2_000_000)
    meter = Rapl(machine)
    before = meter.read()
    count(machine, "intel-rapl:1", 500_000)
    assert meter.joules(before, meter.read()) == 2.5
    assert meter.joules(before, before) == 0
    late = Reading(meter.read().counters, before.at + 1.01 * RANGE / 1e9)
    with pytest.raises(UsageError, match="begun anew twice"):
        meter.joules(before, late)


def test_a_file_that_vanishes_or_holds_no_number_is_named(machine: Path) -> None:
    meter = Rapl(machine)
    count(machine, "intel-rapl:1", "none")
    with pytest.raises(UsageError, match=r"intel-rapl:1/energy_uj holds no number: 'none'"):
        meter.read()
    (machine / "intel-rapl:0" / "energy_uj").unlink()
    with pytest.raises(UsageError, match=r"intel-rapl:0/energy_uj cannot be read: No such file"):
        meter.read()
    with pytest.raises(UsageError, match="No such file"):
        Rapl(machine)


def test_counters_that_root_alone_may_read(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.read_text

    def read_text(path: Path, *given: Any, **how: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return plain(path, *given, **how)

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(UsageError, match=r"root alone.*chmod a\+r .*powercap/intel-rapl:\*/energy_uj"):
        Rapl(machine)


def test_a_machine_without_counters(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="containers and virtual machines"):
        Rapl(tmp_path / "none")
    zone(tmp_path, "intel-rapl:0", "psys", 1)
    with pytest.raises(UsageError, match="no counter of a processor package"):
        Rapl(tmp_path)


class Failed(Exception): ...


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A GPU whose counter is `nvml.counter`, in millijoules."""
    library = SimpleNamespace(NVMLError=Failed, nvmlInit=lambda: None, counter=1500, asked=[])
    library.nvmlDeviceGetHandleByUUID = lambda name: library.asked.append(name) or "handle"
    library.nvmlDeviceGetTotalEnergyConsumption = lambda handle: library.counter
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: SimpleNamespace(uuid="1234-abcd"))
    return library


def test_a_gpu_is_asked_by_its_own_name(nvml: SimpleNamespace) -> None:
    meter = meter_of(torch.device("cuda"))
    before = meter.read()
    nvml.counter += 2500
    assert meter.joules(before, meter.read()) == 2.5 and nvml.asked == ["GPU-1234-abcd"]


def test_a_gpu_without_a_counter(nvml: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(handle: str) -> int:
        raise Failed("Not Supported")

    nvml.nvmlDeviceGetTotalEnergyConsumption = fails
    with pytest.raises(UsageError, match="NVML does not give the energy of the GPU: Failed: Not Supported"):
        Nvml(torch.device("cuda"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UsageError, match=r"-e '.*\[energy\]'"):
        Nvml(torch.device("cuda"))
