"""What the user asked to run on, and what there is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from blockzoo.core.errors import UsageError

DEVICES = ("cpu", "cuda", "auto")


def choose_device(wanted: str, *, gpu: bool) -> tuple[str, str | None]:
    """The device to use, and a sentence for the user where it is not the one wanted."""
    if wanted not in DEVICES:
        raise UsageError(f"device {wanted!r}: choose one of {', '.join(DEVICES)}")
    if wanted == "cuda" and not gpu:
        return "cpu", "--device cuda: there is no CUDA device here, so this goes on with the CPU"
    return ("cuda" if gpu else "cpu") if wanted == "auto" else wanted, None


def chosen_gpus(
    device: str, devices: int | None, gpus: str | None, *, cpu: bool, present: Sequence[str]
) -> tuple[str, int, tuple[str, ...] | None]:
    """What --device, --devices, --gpus and --cpu ask for together: the device, how many, and which GPUs.

    Args:
        device: cpu, cuda or auto.
        devices: how many train one network together; None is one, or as many as `gpus` names.
        gpus: numbers with commas between them: places in `present`.
        cpu: the processor, whatever `gpus` says.
        present: the GPUs that are visible here, by the names that CUDA_VISIBLE_DEVICES has for them.

    Returns:
        The device, how many of it, and the names of the GPUs (None: no choice was made).

    Raises:
        UsageError: they contradict each other, or a GPU is not there.
    """
    if devices is not None and devices < 1:
        raise UsageError(f"--devices {devices}: give 1 or more")
    if cpu:
        return "cpu", devices or 1, None
    if gpus is None:
        if devices and device != "cpu" and present and devices > len(present):
            raise UsageError(
                f"--devices {devices}: {_there_are(present)}; give fewer, or --cpu for processes on the processor"
            )
        return device, devices or 1, None
    numbers = _numbers(gpus)
    if device == "cpu":
        raise UsageError(f"--device cpu and --gpus {gpus} contradict each other: give one of them")
    if devices is not None and devices != len(numbers):
        raise UsageError(
            f"--gpus {gpus} names {len(numbers)} devices and --devices {devices}: give one of them"
        )
    if missing := [number for number in numbers if number >= len(present)]:
        raise UsageError(
            f"--gpus {gpus}: there is no GPU {missing[0]}, {_there_are(present)}; name others, or add --cpu"
        )
    return "cuda", len(numbers), tuple(present[number] for number in numbers)


def use_only(gpus: Sequence[str] | None) -> None:
    """Let this process and those it starts see these GPUs alone; call it before CUDA is used."""
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)


def _numbers(gpus: str) -> list[int]:
    parts = [part.strip() for part in gpus.strip("[]() ").split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(
            f"--gpus {gpus}: give the numbers of different GPUs with commas between them, as in 0,1,2,3"
        )
    return [int(part) for part in parts]


def _there_are(present: Sequence[str]) -> str:
    if not present:
        return "there are no GPUs here"
    return f"here are {len(present)}, numbered from 0" if len(present) > 1 else "here is only GPU 0"
