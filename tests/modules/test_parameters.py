"""A pattern of ``trainable`` reaches all that its name promises, or is refused."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoConfig

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules.parameters import select_parameters
from lightning_untrac.modules.small_models import model_class

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 64,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
MODELS: dict[str, dict[str, Any]] = {
    "gpt_neox": SMALL,
    "llama": SMALL,
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 64, "tie_word_embeddings": False},
    "gpt_neo": {**SMALL, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]},
    "mixtral": {**SMALL, "num_local_experts": 2},
    "bert": {**SMALL, "is_decoder": True},
    "t5": {"d_model": 16, "d_ff": 24, "d_kv": 8, "num_layers": 2, "num_heads": 2, "vocab_size": 64},
}


def made(model_type: str) -> Any:
    return model_class(AutoConfig.for_model(model_type)).from_config(
        AutoConfig.for_model(model_type, **MODELS[model_type])
    )


@pytest.mark.parametrize("model_type", list(MODELS))
def test_embedding_is_what_transformers_calls_so(model_type: str) -> None:
    model = made(model_type)
    kept = select_parameters(model, ["embedding"])
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert all(parameter.requires_grad for parameter in module.parameters())
    assert not [name for name in kept if ".layers." in name or ".h." in name or ".block." in name]


@pytest.mark.parametrize("model_type", [name for name in MODELS if name != "bert"])
def test_attention_mlp_and_norm_are_every_layers_and_all_of_it(model_type: str) -> None:
    parts = {pattern: set(select_parameters(made(model_type), [pattern])) for pattern in ("attention", "mlp", "norm")}
    layers = set(select_parameters(made(model_type), ["last_2_layers"]))
    assert layers
    assert layers <= parts["attention"] | parts["mlp"] | parts["norm"]
    assert not parts["attention"] & parts["mlp"]


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'mlp' matches (nothing in|no trainable)"):
        select_parameters(made("bert"), ["mlp"])


def test_the_last_layers_are_found_whatever_they_are_called() -> None:
    kept = select_parameters(made("bert"), ["last_1_layers"])
    assert kept
    assert all(".encoder.layer.1." in name for name in kept)
    kept = select_parameters(made("t5"), ["last_1_layers"])
    assert all("coder.block.1." in name for name in kept)
