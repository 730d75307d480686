"""The device that a model runs on, its number format, and its free memory, in bytes."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

import psutil
import torch

from playground.errors import ModelError
from playground.process import Process
from playground.settings import Settings
from playground.trace import Memory

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's names for them


def resolve_device(settings: Settings) -> tuple[torch.device, torch.dtype]:
    """The device and the dtype of the weights, chosen where the settings say ``auto``."""
    device = _device(settings.device)
    if settings.dtype != "auto":
        return device, getattr(torch, settings.dtype)
    if device.type == "cuda":
        fits = torch.cuda.is_bf16_supported(including_emulation=False)
        return device, torch.bfloat16 if fits else torch.float16
    if device.type == "mps":
        newer = torch.backends.mps.is_macos_or_newer(14, 0)
        return device, torch.bfloat16 if newer else torch.float32
    return device, torch.bfloat16 if bfloat16_is_fast() else torch.float32


def empty_cache(device: torch.device, process: Process) -> None:
    """Give back memory that torch or the C library keeps; not while a graph is captured."""
    if device.type == "cuda":
        with process.capturing:
            torch.cuda.empty_cache()
    elif device.type == "cpu":
        with contextlib.suppress(OSError, AttributeError):  # elsewhere than on Linux's glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def free_bytes(device: torch.device) -> int:
    """What can still be allocated on this device, as far as the system reports it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(int(psutil.virtual_memory().available), _container_free())


def memory(device: torch.device) -> Memory:
    """What this process holds now, and its tensors on a GPU."""
    gpu = device.type == "cuda"
    return Memory(
        process=psutil.Process().memory_info().rss,
        gpu=torch.cuda.memory_allocated(device) if gpu else None,
        gpu_peak=torch.cuda.max_memory_allocated(device) if gpu else None,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"The device {name} is asked for, and this machine does not have it.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("The device mps is asked for, and this machine does not have it.")
    return device


def bfloat16_is_fast() -> bool:
    """Whether this processor multiplies bfloat16 natively; emulated, it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def _container_free() -> int:
    """The memory left below the limit of a container, which psutil does not read.

    The limit of a Space is far below the memory of its machine.
    """
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(cached.get("inactive_file", 0)))
    except (OSError, ValueError):  # no limit reads as "max"
        return 1 << 62


def keep_freed_memory() -> None:
    """Have the C library reuse a step's freed buffers for the next step, on Linux's glibc.

    By default it returns them to the system, which zeroes their pages again at each step: with many
    rows that took as long as the arithmetic. Only the main arena keeps them, and the loop runs on
    another thread, so there is one arena for all.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most it takes
        libc.mallopt(_TRIM_THRESHOLD, 512 << 20)
        libc.mallopt(_ARENA_MAX, 1)
