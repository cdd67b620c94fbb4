"""What makes two runs of a stage the same experiment: the settings on which its results depend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_untrac.config.trainer_callbacks import PASSIVE, lightning_name
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.config import ROLES
from lightning_untrac.modules import LanguageModule
from lightning_untrac.runs.saved_models import tokenizer_digest

CHANGES_NOTHING = {
    "": (
        "output",
        "overwrite",
        "wandb",
        "config",
        "keep_going",
        "shard",
        "ray",
        "checkpoint_every",
        "store_on",
        "keep_checkpoints",
        "predict",
    ),
    "model": ("activation_checkpointing", "compile"),
    "data": ("eval_batch_size", "num_workers", "cache_folder", "report_texts", "whole_classes"),
    "trainer": (
        *("accelerator", "devices", "num_nodes", "strategy", "logger", "default_root_dir", "profiler", "max_time"),
        *("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "log_every_n_steps"),
    ),
}
"""Settings that change where, how fast and how visibly a run goes, but not (beyond rounding) what comes out."""


def comparable(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that count."""
    kept = {key: value for key, value in config.items() if key not in CHANGES_NOTHING[""]}
    for group in ("data", "trainer"):
        if isinstance(kept.get(group), dict):
            kept[group] = {k: v for k, v in kept[group].items() if k not in CHANGES_NOTHING[group]}
    if isinstance(kept.get("trainer"), dict) and (callbacks := kept["trainer"].get("callbacks")):
        callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
        kept["trainer"]["callbacks"] = [one for one in callbacks if lightning_name(one) not in PASSIVE] or None
    if isinstance(kept.get("trainer"), dict):
        # 1 is one batch and 1.0 all of them, and the two are equal for Python.
        limits = [name for name, value in kept["trainer"].items() if name.startswith("limit_") and value is not None]
        kept["trainer"] |= {
            name: f"{kept['trainer'][name]} batches" for name in limits if isinstance(kept["trainer"][name], int)
        }
    settings = (kept.get("model") or {}).get("init_args")
    if isinstance(settings, dict):
        settings = {k: v for k, v in settings.items() if k not in CHANGES_NOTHING["model"]}
        kept["model"] = {**kept["model"], "init_args": settings}
    return kept


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one mapping with dotted keys, without the entries that are None.

    Example:
        >>> flat({"a": {"b": 1, "c": None}, "d": [2]})
        {'a.b': 1, 'd.0': 2}
    """
    if isinstance(value, list):
        value = dict(enumerate(value))
    if value is None:
        return {}
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in flat(part, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): value}


def with_effective_batch(
    config: dict[str, Any], plan: EpisodePlan, replicas: int, module: LanguageModule
) -> dict[str, Any]:
    """The configuration with the effective batch size in place of its factors: how it is cut changes only rounding.

    Except with dropout, whose masks are drawn for each micro-batch: then the factors stay.

    Args:
        config: resolved.
        plan: its episodes, on which the default batch size depends.
        replicas: data-parallel ranks.
        module: whether it drops out is asked of its architecture.
    """
    identity = {**config, "data": dict(config["data"]), "trainer": dict(config["trainer"])}
    batch_size = identity["data"].pop("batch_size", None) or plan.default_batch_size
    identity["data"] = {k: v for k, v in identity["data"].items() if k not in ROLES or k in plan.roles}
    accumulation = identity["trainer"].pop("accumulate_grad_batches", None) or 1
    identity["effective_batch_size"] = batch_size * accumulation * replicas
    if module.tokenizer_name is not None and Path(module.tokenizer_name).is_dir():
        identity["tokenizer_files"] = tokenizer_digest(Path(module.tokenizer_name))
    if module.dropout and drops_out(module):
        identity["batch_cut"] = cut(batch_size, accumulation, replicas)
    return identity


def cut(batch_size: int, accumulation: int, replicas: int) -> str:
    """How an effective batch is made up, in words."""
    return f"{batch_size} x {accumulation} accumulated x {replicas} ranks"


def drops_out(module: LanguageModule) -> bool:
    """Whether the architecture has dropout at a rate above 0; False where it can't be looked up (which is said)."""
    try:
        settings = module.model_config.to_dict()
    except Exception:  # whatever it is, the checks of the model say it
        return False
    rates = [value for name, value in settings.items() if "drop" in name and isinstance(value, (int, float))]
    return any(rate > 0 for rate in rates) or bool((module.lora or {}).get("lora_dropout"))
