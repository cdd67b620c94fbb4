"""Whether the processor has instructions for the numbers that were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

HAVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""What processors (x86 and ARM) call instructions that multiply bfloat16."""


def multiplies_bf16() -> bool | None:
    """Whether this machine's CPU multiplies bfloat16 itself; None where that can't be found out."""
    try:
        capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):  # an older torch
        info = Path("/proc/cpuinfo")
        words = set(info.read_text(errors="replace").split()) if info.is_file() else set()
        return any(name in words for name in HAVE_BF16) if {"flags", "Features"} & words else None
    found = [bool(capabilities[name]) for name in HAVE_BF16 if name in capabilities]
    return any(found) if found else None


def slow_arithmetic(precision: Any, dtype: str, on_cpu: bool) -> str | None:
    """A sentence where bfloat16 would be emulated; None where it is not, or where that is not known.

    Args:
        precision: the Trainer's.
        dtype: of the weights.
        on_cpu: whether the Trainer runs there.
    """
    if not on_cpu or not (str(precision or "").startswith("bf16") or dtype == "bfloat16"):
        return None
    if multiplies_bf16() is not False:
        return None
    asked = f"trainer.precision {precision}" if str(precision or "").startswith("bf16") else f"model.dtype {dtype}"
    return (
        f"{asked}: this CPU has no instructions for bfloat16, so that steps take several times as long as in float32 "
        "(docs/performance.md); leave it out, or use a GPU"
    )
