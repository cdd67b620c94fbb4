"""Find, build and adapt a transformers model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from lightning_untrac.data.tokenizers import missing_folder
from lightning_untrac.errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
ADAPTER_CONFIG = "adapter_config.json"


def adapter_folder(name_or_path: str | None) -> bool:
    """Whether a path is a folder of LoRA adapters."""
    return name_or_path is not None and (Path(name_or_path) / ADAPTER_CONFIG).is_file()


def adapter_base(name_or_path: str | None) -> str | None:
    """Name of the model under a folder of LoRA adapters; None where the folder (or hub name) is a whole model."""
    if not adapter_folder(name_or_path):
        return None
    return str(require_peft().PeftConfig.from_pretrained(name_or_path).base_model_name_or_path)


def require_peft() -> Any:
    """Import peft, or say how to get it."""
    try:
        import peft
    except ImportError as error:
        raise ConfigurationError(
            ["LoRA needs the package peft: pip install 'lightning-untrac[lora]' -c constraints.txt"]
        ) from error
    return peft


def scratch_config(settings: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """A model configuration from a recipe's mapping; vocabulary and special tokens come from the tokenizer.

    Args:
        settings: ``model_type`` (``llama``, ``gpt2``, ``opt``, ``t5``, ...) and any of that configuration's fields.
        tokenizer: fills in what ``settings`` leaves out.

    Raises:
        ConfigurationError: for an unknown ``model_type`` or field (transformers itself would take any).
    """
    from transformers import AutoConfig

    settings = dict(settings)
    model_type = settings.pop("model_type", None)
    if model_type is None:
        raise ConfigurationError(["model.config: has no `model_type`; name an architecture, e.g. llama, gpt2, opt, t5"])
    try:
        default = AutoConfig.for_model(model_type)
    except ValueError as error:
        raise ConfigurationError([f"model.config: model_type {model_type!r} is unknown to transformers"]) from error
    if unknown := sorted(field for field in settings if not hasattr(default, field)):
        raise ConfigurationError([f"model.config: {type(default).__name__} has no field {', '.join(unknown)}"])
    from_tokenizer = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if default.is_encoder_decoder:
        from_tokenizer["decoder_start_token_id"] = tokenizer.pad_token_id
    try:
        return AutoConfig.for_model(model_type, **{**from_tokenizer, **settings})
    except Exception as error:  # transformers validates fields with several exception classes
        raise ConfigurationError([f"model.config: {error}"]) from error


def pretrained_config(name_or_path: str, *, revision: str | None, trust_remote_code: bool) -> PretrainedConfig:
    """The configuration of a saved model.

    Raises:
        ConfigurationError: if there is none.
    """
    from transformers import AutoConfig

    source = adapter_base(name_or_path) or name_or_path
    if problem := missing_folder(source):
        raise ConfigurationError([f"model: {problem}; give a folder made by save_pretrained, or a hub name"])
    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        cause = (str(error).splitlines() or [""])[0]
        raise ConfigurationError(
            [f"model: can't load {source!r} ({cause}); give a hub name or a folder made by save_pretrained"]
        ) from error


def build_model(
    config: PretrainedConfig,
    name_or_path: str | None,
    *,
    dtype: str,
    init_seed: int,
    lora: dict[str, Any] | None,
    revision: str | None,
    trust_remote_code: bool,
    attn_implementation: str | None,
) -> PreTrainedModel:
    """The model with its weights: from ``name_or_path``, or drawn from ``init_seed`` where that is None.

    Raises:
        ConfigurationError: if the saved weights do not fit the architecture.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    auto: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    options: dict[str, Any] = {"dtype": DTYPES[dtype]}
    if attn_implementation is not None:
        options["attn_implementation"] = attn_implementation
    if name_or_path is None:
        # The same first weights whatever random numbers were drawn before.
        with torch.random.fork_rng():
            torch.manual_seed(init_seed)
            model = auto.from_config(config, trust_remote_code=trust_remote_code, **options)
    else:
        base = adapter_base(name_or_path)
        try:
            model, loading = auto.from_pretrained(
                base or name_or_path,
                revision=revision,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                **options,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            cause = (str(error).splitlines() or [""])[0]
            if "ignore_mismatched_sizes" in cause:
                cause = "its config.json describes a model of other sizes than the saved weights have"
            raise ConfigurationError([f"model: can't load the weights of {name_or_path!r} ({cause})"]) from error
        if missing := sorted(loading["missing_keys"]):
            # transformers would draw them at random and only print a table.
            raise ConfigurationError(
                [f"model: the weights of {name_or_path!r} lack {len(missing)} parameters, such as {missing[0]}; they "
                 "don't fit its config.json"]
            )  # fmt: skip
        if base is not None:
            return require_peft().PeftModel.from_pretrained(model, name_or_path, is_trainable=True)
    if lora is not None:
        peft = require_peft()
        task = "SEQ_2_SEQ_LM" if config.is_encoder_decoder else "CAUSAL_LM"
        try:
            adapters = peft.LoraConfig(**{"task_type": task, **lora})
            with torch.random.fork_rng():
                torch.manual_seed(init_seed)
                model = peft.get_peft_model(model, adapters)
        except (TypeError, ValueError) as error:
            raise ConfigurationError([f"model.lora: {error}"]) from error
    return model
