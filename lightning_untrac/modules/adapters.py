"""Adapters of peft: find what they lie on, make new ones, and load saved ones whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lightning_untrac.data.saved_tokenizers import has_tokenizer
from lightning_untrac.errors import ConfigurationError, problems_of
from lightning_untrac.modules.heads import head_of, task_name
from lightning_untrac.modules.refusals import refused

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_CONFIG = "adapter_config.json"
EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings", "shared")
"""Last names of the modules that have a row for each token, in the usual architectures."""


def require_peft() -> Any:
    """Import peft, or say how to get it."""
    try:
        import peft
    except ImportError as error:
        raise ConfigurationError(
            ["LoRA needs the package peft: pip install 'lightning-untrac[lora]' -c constraints.txt"]
        ) from error
    return peft


def lora_problems(lora: Mapping[str, Any] | None) -> list[str]:
    """That peft is not installed, where adapters are asked for.

    Args:
        lora: arguments of ``peft.LoraConfig``; None for no adapters.
    """
    return [] if lora is None else problems_of(require_peft)


def adapter_folder(name_or_path: str | None) -> bool:
    """Whether a path is a folder of adapters."""
    return name_or_path is not None and (Path(name_or_path) / ADAPTER_CONFIG).is_file()


def adapter_base(name_or_path: str | None) -> str | None:
    """Name of the model under a folder of adapters; None where the folder (or hub name) is a whole model.

    Raises:
        ConfigurationError: if the adapters don't say.
    """
    if not adapter_folder(name_or_path):
        return None
    base = _saved_config(str(name_or_path)).base_model_name_or_path
    if not base:
        raise ConfigurationError(
            [f"model: {ADAPTER_CONFIG} in {name_or_path} names no base model; fill in its base_model_name_or_path"]
        )
    return str(base)


def tokenizer_home(name_or_path: str) -> str:
    """Where a model's own tokenizer lies: with its adapters, if they bring one, or else with the model under them."""
    base = adapter_base(name_or_path)
    return name_or_path if base is None or has_tokenizer(name_or_path) else base


def adapter_problems(name_or_path: str | None) -> list[str]:
    """Why a folder's adapters can't be trained or traced, before anything is loaded."""
    if name_or_path is None or not adapter_folder(name_or_path):
        return []
    try:
        adapter_base(name_or_path)
    except ConfigurationError as error:
        return error.problems
    config = _saved_config(name_or_path)
    if config.is_prompt_learning:
        return [
            f"model: {name_or_path} holds adapters of the kind {config.peft_type.value}, which put made-up tokens "
            "before a text and so have no loss of the text alone; give adapters that change weights, such as LoRA"
        ]
    return []


def embedding_rows(name_or_path: str | None) -> int | None:
    """Rows of the embedding that a folder of adapters brings, if it was resized for new tokens; None where it isn't."""
    if name_or_path is None or not adapter_folder(name_or_path):
        return None
    weights = Path(name_or_path) / "adapter_model.safetensors"
    if weights.is_file():
        from safetensors import safe_open

        with safe_open(weights, "pt") as file:  # reads the shapes alone
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    else:
        saved = require_peft().utils.load_peft_weights(str(name_or_path), device="cpu")
        shapes = {key: tuple(tensor.shape) for key, tensor in saved.items()}
    rows = [
        shape[0]
        for key, shape in shapes.items()
        if len(shape) == 2 and key.endswith(".weight") and ".lora_" not in key and _names_embedding(key)
    ]
    return max(rows, default=None)


def load_adapters(model: PreTrainedModel, name_or_path: str) -> PreTrainedModel:
    """Put saved adapters on the model that they were trained on, all of them trainable.

    Args:
        model: their base; its embeddings are resized where the adapters bring others.
        name_or_path: the adapters' folder.

    Raises:
        ConfigurationError: if the adapters' weights are not the ones that their configuration needs on this model.
    """
    peft = require_peft()
    with (
        refused(
            lambda cause: (
                f"model: can't load the adapters in {name_or_path!r} ({cause}); give a folder that peft's "
                "save_pretrained wrote, and the base model that it names"
            )
        ),
        torch.random.fork_rng(devices=[]),  # of first weights, which the saved ones replace
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below
        rows = embedding_rows(name_or_path)
        if rows is not None and rows != model.get_input_embeddings().weight.shape[0]:
            model.resize_token_embeddings(rows, mean_resizing=False)
        adapted = peft.PeftModel.from_pretrained(model, name_or_path, is_trainable=True)
        # Again, because only this call says which of the weights found a place.
        found = adapted.load_adapter(name_or_path, "default", is_trainable=True)
    wrong = [
        f"{len(keys)} {said}, such as {keys[0]}"
        for keys, said in (
            (
                [key for key in found.unexpected_keys if not _saved_twice(key)],
                "of its weights have no place in the model",
            ),
            (found.missing_keys, "weights of the adapters are missing"),
        )
        if keys
    ]
    if wrong:
        raise ConfigurationError(
            [
                f"model: the adapters in {name_or_path!r} don't fit the base model that they name: "
                f"{' and '.join(wrong)}; give the base model that they were trained on"
            ]
        )
    return adapted


def add_adapters(model: PreTrainedModel, settings: dict[str, Any], init_seed: int) -> PreTrainedModel:
    """Put new LoRA adapters on a model.

    Args:
        model: all of its own weights are frozen.
        settings: of ``peft.LoraConfig``.
        init_seed: draws the adapters' first weights.

    Raises:
        ConfigurationError: if peft can't make them.
    """
    peft = require_peft()
    fields = {"task_type": head_of(model.config).peft_task, **settings}
    if task_name(model.config) != "language":
        # Trained and saved whole, beside the adapters: the pooler too, which a saved encoder may lack.
        parts = [*model.named_children(), ("pooler", getattr(model.base_model, "pooler", None))]
        own = [name for name, part in parts if part is not None and any(True for _ in part.parameters())]
        named = [*(settings.get("modules_to_save") or ()), *own]
        added = {model.base_model_prefix, "classifier", "score"}  # the last two by peft itself, and not twice
        fields["modules_to_save"] = [name for name in dict.fromkeys(named) if name not in added]
    with refused(lambda cause: f"model.lora: {cause}"), torch.random.fork_rng():
        adapters = peft.LoraConfig(**fields)
        torch.manual_seed(init_seed)
        return peft.get_peft_model(model, adapters)


def without_adapters(model: PreTrainedModel) -> PreTrainedModel:
    """A model with its adapters merged into its weights, all of which may move; itself where it has none."""
    merge: Any = getattr(model, "merge_and_unload", None)
    if merge is None:
        return model
    merged: PreTrainedModel = merge()
    merged.requires_grad_(True)
    return merged


def _saved_config(name_or_path: str) -> Any:
    with refused(
        lambda cause: f"model: can't read {ADAPTER_CONFIG} in {name_or_path} ({cause}); save the adapters again"
    ):
        return require_peft().PeftConfig.from_pretrained(name_or_path)


def _saved_twice(key: str) -> bool:
    """Whether a weight is the copy that peft saves of resized embeddings, beside the one that it loads."""
    return _names_embedding(key) and (".modules_to_save." in key or ".original_module." in key)


def _names_embedding(key: str) -> bool:
    return any(f".{name}." in f".{key}" for name in EMBEDDINGS)
