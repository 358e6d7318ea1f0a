"""The circumstances a number was measured in: hardware, versions, revision, threads."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from blockzoo.core.spec import fingerprint_of

ARITHMETIC = (
    "ATEN_CPU_CAPABILITY DNNL_DEFAULT_FPMATH_MODE DNNL_MAX_CPU_ISA MKL_CBWR MKL_ENABLE_INSTRUCTIONS NVIDIA_TF32_OVERRIDE "
    "ONEDNN_DEFAULT_FPMATH_MODE ONEDNN_MAX_CPU_ISA TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"
).split()
"""Environment variables with which the libraries below us add and multiply otherwise."""
PACKAGES = ("blockzoo", "torch", "torchvision", "timm", "lightning", "numpy")


def environment(**measured: object) -> dict[str, Any]:
    """Hardware, versions and git revision, plus what the caller adds (device, dtype, threads, layout).

    `environment_id` in it is equal where times may be compared.
    """
    facts: dict[str, Any] = {**_machine(), **measured}
    if overrides := arithmetic():
        facts["arithmetic"] = overrides
    comparable = {k: v for k, v in facts.items() if k not in ("revision", "hostname")}
    return {**facts, "environment_id": fingerprint_of(comparable)}


def arithmetic() -> str:
    """The variables of `ARITHMETIC` that are set, as NAME=VALUE; nothing where none is."""
    return " ".join(f"{name}={os.environ[name]}" for name in ARITHMETIC if os.environ.get(name))


@functools.cache
def _machine() -> dict[str, Any]:
    import psutil

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": _gpu_name(),
        "os": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "revision": _revision(),
        "hostname": platform.node(),
    }


def version_of(runtime: str) -> dict[str, str]:
    """The version of a runtime that is a package of its own name, by that name; of others nothing."""
    try:
        return {runtime: version(runtime)}
    except (PackageNotFoundError, ValueError):
        return {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # running from a source tree
        module = sys.modules.get(package)
        return getattr(module, "__version__", None)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu_name() -> str | None:
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def _revision() -> str | None:
    """Of the source tree the package lies in, if it is one: a repository further up is another's, and git runs what it says."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe(facts: dict[str, Any]) -> str:
    """One line for captions and tables."""
    hardware = facts.get("gpu") if facts.get("device") == "cuda" else None
    hardware = hardware or f"{facts.get('cpu')}, {facts.get('cores')} cores"
    return f"{hardware}; torch {facts.get('torch')}, blockzoo {facts.get('blockzoo')}"
