"""Find, build and adapt a transformers model."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from typing import TYPE_CHECKING, Any

import torch

from lightning_untrac.data.tokenizers import missing_folder
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.hub import hub_problem
from lightning_untrac.modules.adapters import adapter_base, add_adapters, load_adapters, without_adapters
from lightning_untrac.modules.heads import task_name
from lightning_untrac.modules.members import member_folders
from lightning_untrac.modules.refusals import refused
from lightning_untrac.modules.small_models import model_class

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


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
    if unknown := sorted(field for field in settings if not _takes(default, field, settings[field])):
        raise ConfigurationError([f"model.config: {type(default).__name__} has no field {', '.join(unknown)}"])
    from_tokenizer = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if default.is_encoder_decoder:
        starts = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
        from_tokenizer["decoder_start_token_id"] = next((token for token in starts if token is not None), None)
    with refused(
        lambda cause: f"model.config: {cause}"
    ):  # transformers validates fields with several exception classes
        return AutoConfig.for_model(model_type, **{**from_tokenizer, **settings})


def _takes(default: PretrainedConfig, field: str, value: Any) -> bool:
    """Whether a field does something: one of the class's own, one that it translates, or one that its code reads."""
    if hasattr(default, field) or field.endswith("_token_id"):
        return True
    try:
        given = type(default)(**{field: value}).to_dict()
    except Exception:  # of the value: what is wrong with it is said when the configuration is made
        return True
    given.pop(field, None)
    if given != default.to_dict():
        return True
    made = model_class(default)._model_mapping.get(type(default), None)
    read = re.compile(rf"config\.{re.escape(field)}\b|[\"']{re.escape(field)}[\"']")
    modules = {kind.__module__ for kind in (made, type(default)) if kind is not None}
    return any(read.search(inspect.getsource(sys.modules[name])) for name in modules)


def pretrained_config(name_or_path: str, *, revision: str | None, trust_remote_code: bool) -> PretrainedConfig:
    """The configuration of a saved model.

    Raises:
        ConfigurationError: if there is none.
    """
    from transformers import AutoConfig

    source = adapter_base(name_or_path) or name_or_path
    if problem := missing_folder(source):
        raise ConfigurationError([f"model: {problem}; give a folder made by save_pretrained, or a hub name"])
    if problem := hub_problem("model", source, revision):
        raise ConfigurationError(
            [f"model: can't load {source!r} ({problem}); give a hub name or a folder made by save_pretrained"]
        )
    with refused(
        lambda cause: f"model: can't load {source!r} ({cause}); give a hub name or a folder made by save_pretrained"
    ):
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=trust_remote_code)


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
    new_head: bool = False,
    merges_adapters: bool = False,
) -> PreTrainedModel:
    """The model with its weights: from ``name_or_path``, or drawn from ``init_seed`` where that is None.

    A folder of several members (``ensemble.json``) becomes one model that predicts as all of them together. A
    ``new_head`` is one that the saved weights don't have: it is drawn from ``init_seed`` too. Saved adapters stay
    beside the weights, or are merged into them (``merges_adapters``).

    Raises:
        ConfigurationError: if the model can't be made, or the saved weights do not fit the architecture.
    """
    options: dict[str, Any] = {"dtype": DTYPES[dtype], "trust_remote_code": trust_remote_code}
    if attn_implementation is not None:
        options["attn_implementation"] = attn_implementation
    if name_or_path is None:
        # The same first weights whatever random numbers were drawn before.
        with torch.random.fork_rng(), refused(lambda cause: f"model: can't be made ({cause}{_mending(cause, config)})"):
            torch.manual_seed(init_seed)
            model = model_class(config).from_config(config, **options)
    elif members := member_folders(name_or_path):
        from lightning_untrac.modules.ensemble import Ensemble

        return Ensemble(
            [_with_saved_weights(config, str(member), init_seed, new_head, revision=None, **options)
             for member in members]
        )  # fmt: skip
    else:
        base = adapter_base(name_or_path)
        model = _with_saved_weights(config, base or name_or_path, init_seed, new_head, revision=revision, **options)
        if base is not None:
            adapted = load_adapters(model, name_or_path)
            return without_adapters(adapted) if merges_adapters else adapted
    return model if lora is None else add_adapters(model, lora, init_seed)


def _with_saved_weights(
    config: PretrainedConfig, name_or_path: str, init_seed: int, new_head: bool, **options: Any
) -> PreTrainedModel:
    if task_name(config) != "language":  # a language model's configuration is the saved one
        options["config"] = copy.deepcopy(config)
    with (
        torch.random.fork_rng(),
        refused(lambda cause: f"model: can't load the weights of {name_or_path!r} ({cause}{_mending(cause, config)})"),
    ):
        torch.manual_seed(init_seed)  # of a new head
        model, loading = model_class(config).from_pretrained(name_or_path, output_loading_info=True, **options)
    missing = sorted(loading["missing_keys"])
    if new_head:
        missing = [name for name in missing if not of_head(model, name)]
    if missing:
        # transformers would draw them at random and only print a table.
        raise ConfigurationError(
            [f"model: the weights of {name_or_path!r} lack {len(missing)} parameters, such as {missing[0]}; they "
             "don't fit its config.json"]
        )  # fmt: skip
    return model


def of_head(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter is one of the head's: it lies outside the base model, or is its pooler's.

    Args:
        model: with a head.
        name: of the parameter.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> with torch.device("meta"):
        ...     model = BertForSequenceClassification(BertConfig(num_hidden_layers=1))
        >>> names = [name for name, _ in model.named_parameters() if of_head(model, name)]
        >>> names  # doctest: +NORMALIZE_WHITESPACE
        ['bert.pooler.dense.weight', 'bert.pooler.dense.bias', 'classifier.weight', 'classifier.bias']
    """
    base = f"{model.base_model_prefix}."
    return not name.startswith(base) or name.startswith(f"{base}pooler.")


def _mending(cause: str, config: PretrainedConfig) -> str:
    """What to do about a package that is not there; nothing to add for other causes."""
    if "ttention" in cause and ("toggled on" in cause or "attn_implementation" in cause):
        return "; install that package, or choose another model.attn_implementation, e.g. sdpa"
    if getattr(config, "quantization_config", None) is not None:
        return (
            "; its weights are quantised, and steps on such weights are lost: give the model before it was quantised, "
            "or install the package and train adapters (model.lora)"
        )
    return ""
