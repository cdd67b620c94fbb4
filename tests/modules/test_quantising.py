"""Quantised weights, against transformers' and torchao's own quantised layers."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from four_bits import loaded_in_4_bits
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    LlamaConfig,
)

from lightning_untrac.modules import quantising
from lightning_untrac.modules.quantising import (
    QUANTISERS,
    linear_layers,
    missing_packages,
    quantise_layers,
    quantised,
    same_codes,
)

LLAMA = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
IDS = torch.arange(12).reshape(2, 6)


def llama(**more: object) -> nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA, **more)).eval()


def test_nf4_predicts_as_the_model_that_transformers_loads_in_4_bits(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", exc_type=ImportError)
    model = llama()
    model.save_pretrained(tmp_path)
    theirs = loaded_in_4_bits(tmp_path)
    whole = model(IDS).logits
    quantise_layers(model, QUANTISERS["nf4"])
    with torch.no_grad():
        mine, other = model(IDS).logits, theirs(IDS).logits
    torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert (mine - whole).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_integers_predict_as_torchao_does(name: str) -> None:
    torchao = pytest.importorskip("torchao.quantization", exc_type=ImportError)
    model = llama()
    theirs = copy.deepcopy(model)
    configs = {
        "int8": torchao.Int8WeightOnlyConfig(),
        "int4": torchao.IntxWeightOnlyConfig(torch.int4, torchao.PerGroup(32)),
    }
    own = {path for path, _, _ in linear_layers(model)}
    torchao.quantize_(theirs, configs[name], filter_fn=lambda _, layer: layer in own)
    quantise_layers(model, QUANTISERS[name])
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, theirs(IDS).logits, rtol=1e-4, atol=1e-5)


def test_all_linear_layers_but_the_one_of_the_logits() -> None:
    names = [name.split(".")[-1] for name, _, _ in linear_layers(llama(tie_word_embeddings=True))]
    assert names == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    gpt2 = GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=50, bos_token_id=0, eos_token_id=0)
    layers = list(linear_layers(AutoModelForCausalLM.from_config(gpt2)))
    assert (layers[0][0].split(".")[-1], tuple(layers[0][1].shape), layers[0][2]) == ("c_attn", (32, 96), True)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = AutoModelForSequenceClassification.from_config(BertConfig(**sizes, vocab_size=50))
    assert "classifier" not in {name for name, _, _ in linear_layers(bert)}


@pytest.mark.parametrize("name", list(QUANTISERS))
def test_steps_within_a_bin_are_lost_and_larger_ones_are_not(name: str) -> None:
    pytest.importorskip(QUANTISERS[name].package, exc_type=ImportError)
    start = llama()
    near, far = copy.deepcopy(start), copy.deepcopy(start)
    with torch.no_grad():
        for weight, other in zip(near.parameters(), far.parameters(), strict=True):
            weight.add_(torch.randn_like(weight), alpha=1e-7)
            other.add_(torch.randn_like(other), alpha=0.05)
    (all_same, sizes), (most, _), (few, _) = (same_codes(one, start, QUANTISERS[name]) for one in (start, near, far))
    np.testing.assert_array_equal(all_same, 1)
    assert sizes.tolist() == [64 * 64] * 4 + [64 * 96] * 3
    assert most.min() > 0.99
    assert few.max() < 0.5
    deeper = AutoModelForCausalLM.from_config(LlamaConfig(**{**LLAMA, "num_hidden_layers": 2}))
    assert not len(same_codes(start, deeper, QUANTISERS[name])[0])


@pytest.mark.parametrize("name", list(QUANTISERS))
def test_form_and_dtype_stay_and_a_turned_matrix_is_quantised_alike(name: str) -> None:
    pytest.importorskip(QUANTISERS[name].package, exc_type=ImportError)
    weight = torch.randn(24, 64, dtype=torch.float64)
    once = quantised(weight, QUANTISERS[name])
    assert once.weights.dtype == weight.dtype
    assert once.codes.shape == once.weights.shape == weight.shape
    assert len(once.codes.unique()) <= (256 if name == "int8" else 16)
    assert (once.weights - weight).abs().mean() < 0.1
    turned = quantised(weight.T, QUANTISERS[name], transposed=True)
    torch.testing.assert_close(turned.weights, once.weights)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantising, "find_spec", lambda name: None)
    assert missing_packages(QUANTISERS) == [
        f"{name} needs the package {package}: pip install 'lightning-untrac[quantised]' -c constraints.txt"
        for name, package in (("nf4", "bitsandbytes"), ("int8", "torchao"), ("int4", "torchao"))
    ]
