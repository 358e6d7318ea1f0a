"""What the user asked to run on, and what there is."""

from __future__ import annotations

from blockzoo.core.errors import RequestError

DEVICES = ("cpu", "cuda", "auto")


def choose_device(wanted: str, *, gpu: bool) -> tuple[str, str | None]:
    """The device to use, and a sentence for the user where it is not the one wanted."""
    if wanted not in DEVICES:
        raise RequestError(f"device {wanted!r}: choose one of {', '.join(DEVICES)}")
    if wanted == "cuda" and not gpu:
        return "cpu", "--device cuda: there is no CUDA device here, so this goes on with the CPU"
    return ("cuda" if gpu else "cpu") if wanted == "auto" else wanted, None
