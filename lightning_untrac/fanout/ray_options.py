"""The options of ``--ray``, and what can be wrong with them; Ray itself is not imported here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lightning_untrac.config.parsing import Parsed

MISSING = "ray: not installed; pip install 'lightning-untrac[ray]' -c constraints.txt"
ONE_DEVICE = ("auto", 1, "1")


@dataclass
class RayConfig:
    """Every episode as a task on a Ray cluster, or on this machine where there is none.

    Attributes:
        address: of a running cluster (``auto`` for the one on this machine); by default ``RAY_ADDRESS``, and without
            that a cluster is started on this machine for as long as the command runs.
        gpus_per_episode: a fraction puts several episodes on one GPU; by default 1 where the accelerator is a GPU.
        cpus_per_episode: by default the number of torch's threads, or 1 with a GPU.
        max_retries: how often an episode is begun again after its worker was lost.
    """

    address: str | None = None
    gpus_per_episode: float | None = None
    cpus_per_episode: float | None = None
    max_retries: int = 3


def ray_problems(parsed: Parsed) -> list[str]:
    """What is wrong with the options of ``--ray``, alone and beside others."""
    options: Any = parsed.options
    config: RayConfig | None = options.ray
    if config is None:
        return []
    found = []
    if find_spec("ray") is None:
        found.append(MISSING)
    if options.shard is not None:
        found.append("ray and shard: give one of the two; Ray shares out the episodes by itself")
    for name in ("gpus_per_episode", "cpus_per_episode"):
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            found.append(f"ray.{name}: {value}; give 0 or more")
        elif value is not None and value > 1 and value != int(value):
            found.append(f"ray.{name}: {value}; give a whole number, or a fraction below 1")
    if config.gpus_per_episode is not None and config.gpus_per_episode > 1:
        found.append(
            f"ray.gpus_per_episode: {config.gpus_per_episode:g}; an episode runs on one GPU here. Where a model needs "
            "several, use --shard i/n with --trainer.devices, a job each"
        )
    if config.max_retries < 0:
        found.append(f"ray.max_retries: {config.max_retries}; give 0 or more")
    trainer = parsed.config.trainer
    devices = trainer.devices
    several = [f"trainer.num_nodes: {trainer.num_nodes}"] if trainer.num_nodes not in (1, "1") else []
    if devices not in ONE_DEVICE and not (isinstance(devices, list) and len(devices) == 1):
        several.append(f"trainer.devices: {devices}")
    found += [
        f"{setting}; with --ray an episode runs on one device. To spread an episode over several, leave --ray out and "
        "share out the episodes with --shard i/n, a job each"
        for setting in several
    ]
    return found


def on_one_device(parsed: Parsed) -> Parsed:
    """With ``--ray``, all devices of this machine do not mean all for one episode."""
    if parsed.options.ray is not None and parsed.config.trainer.devices == "auto":
        parsed.config.trainer.devices = 1
    return parsed
