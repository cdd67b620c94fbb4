"""Another training of the same recipe: one number that every seed which the user did not give follows."""

from __future__ import annotations

from typing import Any

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.verb import traits

KEY = "training_seed"
"""Name of the flag, and of the key in a recipe."""


def with_training_seed(verb: str, config: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """A stage's configuration with the seeds of another training where it names none itself.

    First weights (also of adapters), the order of training, and the orders of retraining, tracing and unlearning.

    Args:
        verb: of the stage.
        config: its own configuration.
        seed: of the training; None to leave everything as it is.

    Example:
        >>> with_training_seed("pretrain", {"model": {"tokenizer": "byte"}, "seed": 7}, 1)
        {'model': {'tokenizer': 'byte', 'init_seed': 1}, 'seed': 7}
        >>> with_training_seed("leave-out", {}, 1)
        {'seeds': [1]}
    """
    if seed is None:
        return config
    config = dict(config)
    model = config.get("model")
    if isinstance(model, dict) and (traits(verb).trains or model.get("lora") is not None):
        settings = dict(model.get("init_args", model))
        settings.setdefault("init_seed", seed)
        config["model"] = {**model, "init_args": settings} if "init_args" in model else settings
    for name, value in (("seed", seed), ("seeds", [seed])):
        if traits(verb).phase is not None and traits(verb).has_option(name):
            config.setdefault(name, value)
    return config


def training_seed(value: Any) -> int | None:
    """The seed that a recipe or a flag names.

    Args:
        value: as it was given; None for none.

    Raises:
        ConfigurationError: if it is no whole number of at least 0.
    """
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or int(text) >= 2**32:
        raise ConfigurationError([f"{KEY}: got {value!r}; give a whole number from 0 to {2**32 - 1}"])
    return int(text)
