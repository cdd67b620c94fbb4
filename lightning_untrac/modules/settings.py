"""What is wrong with the settings of a model, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_untrac.errors import problems_of
from lightning_untrac.modules.adapters import adapter_folder, adapter_problems, lora_problems
from lightning_untrac.modules.classes import Labels, class_problems
from lightning_untrac.modules.loading import DTYPES
from lightning_untrac.modules.members import member_folders


def setting_problems(
    name_or_path: str | None,
    config: Mapping[str, Any] | None,
    tokenizer: str | None,
    lora: Mapping[str, Any] | None,
    dtype: str,
    task: str | None = None,
    labels: Labels | None = None,
) -> list[str]:
    """What is wrong with the arguments of a ``LanguageModule``.

    Args:
        name_or_path: a trained model.
        config: of a model from scratch.
        tokenizer: its name, if it was given.
        lora: arguments of ``peft.LoraConfig``.
        dtype: of the weights.
        task: what the model is for.
        labels: the classes of a classifier.
    """
    found = []
    if (name_or_path is None) == (config is None):
        found.append("model: give either `name_or_path` (a trained model) or `config` (a new one), not both or neither")
    elif name_or_path is None and tokenizer is None:
        found.append("model: a model from scratch needs a `tokenizer` (a hub name, a folder, or 'byte')")
    if lora is not None and config is not None:
        found.append("model.lora: adapters of a model from scratch can't be loaded again; save the model first")
    if lora is not None and adapter_folder(name_or_path):
        found.append(f"model.lora: {name_or_path} is a folder of adapters already; leave `lora` out")
    if dtype not in DTYPES:
        found.append(f"model.dtype: {dtype!r} is unknown; use one of {', '.join(DTYPES)}")
    found += [*lora_problems(lora), *class_problems(task, labels, name_or_path is None)]
    return found + adapter_problems(name_or_path) + problems_of(lambda: member_folders(name_or_path))
