"""What an architecture is, is tried: causal or not, where its context ends, what no text reaches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from transformers import AutoConfig

from lightning_untrac import LanguageModule
from lightning_untrac.modules.decoder_inputs import decoder_inputs
from lightning_untrac.modules.probing import probe

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 384,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
BOTH = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "vocab_size": 384,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
GEMMA = {**SMALL, "head_dim": 8, "num_key_value_heads": 2}


def config(model_type: str, **fields: Any) -> Any:
    return AutoConfig.for_model(model_type, **fields)


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        (config("bert", **SMALL), "no causal model"),
        (config("bert", **SMALL, is_decoder=True), None),
        (config("gemma3_text", **GEMMA, use_bidirectional_attention=True), "no causal model"),
        (config("gemma3_text", **GEMMA), None),
        (config("distilbert"), "no language-model head"),
        (config("t5", d_model=16, d_ff=24, d_kv=8, num_layers=1, num_heads=2), "no decoder_start_token_id"),
        (config("mixtral", **SMALL, num_local_experts=2, num_experts_per_tok=3), "a text can't go through mixtral"),
    ],
)
def test_only_language_models_are_taken(model: Any, refused: str | None) -> None:
    found = probe(model).problems
    assert (refused is None and found == ()) or (len(found) == 1 and refused is not None and refused in found[0])


@pytest.mark.parametrize(
    ("model", "context", "target_context"),
    [
        (config("mpt", d_model=16, n_layers=1, n_heads=2, vocab_size=384, max_seq_len=64), 64, 64),
        (config("roberta", **{**SMALL, "pad_token_id": 1}, is_decoder=True, max_position_embeddings=514), 512, 512),
        (config("opt", **SMALL, ffn_dim=24, word_embed_proj_dim=16, max_position_embeddings=64), 64, 64),
        (config("bloom", **{**SMALL, "hidden_size": 16}), None, None),
        (config("bart", **BOTH, max_position_embeddings=64), 64, 64),
        (
            config(
                "led",
                **BOTH,
                max_encoder_position_embeddings=96,
                max_decoder_position_embeddings=64,
                attention_window=8,
            ),
            96,
            64,
        ),
    ],
)
def test_a_text_of_the_context_passes_and_a_longer_one_does_not(
    model: Any, context: int | None, target_context: int | None
) -> None:
    from lightning_untrac.modules.small_models import model_class

    found = probe(model)
    assert (found.context, found.target_context) == (context, target_context)
    if context is None or target_context is None:
        return
    whole = model_class(model).from_config(model).eval()
    ids = torch.full((1, context + 1), 5)
    targets = torch.full((1, target_context + 1), 5)

    def run(length: int, target_length: int) -> None:
        more = {"decoder_input_ids": targets[:, :target_length]} if model.is_encoder_decoder else {}
        with torch.no_grad():
            whole(input_ids=ids[:, :length], use_cache=False, **more)

    run(context, target_context)
    longer = [(context, target_context + 1)] if model.is_encoder_decoder else []
    for lengths in [(context + 1, target_context), *longer]:
        with pytest.raises((IndexError, RuntimeError)):
            run(*lengths)


def test_a_model_of_any_size_is_tried_on_a_small_one_and_draws_no_random_numbers() -> None:
    large = config(
        "llama",
        vocab_size=128256,
        hidden_size=8192,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        intermediate_size=28672,
        max_position_embeddings=131072,
        bos_token_id=128000,
        eos_token_id=[128001, 128008],
    )
    as_it_was, state = large.to_dict(), torch.get_rng_state()
    assert probe(large).problems == ()  # whose 70 billion parameters no test machine could hold
    assert probe(large).context == 131072
    assert torch.equal(state, torch.get_rng_state())
    assert large.to_dict() == as_it_was


VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def test_what_no_text_reaches_is_frozen_and_the_rest_has_gradients() -> None:
    """Plain DDP waits for a gradient of every trainable parameter: each must get one, and only those."""
    text = {key: value for key, value in GEMMA.items() if key != "vocab_size"}
    model = {"model_type": "gemma3", "text_config": {**text, "vocab_size": 384}, "vision_config": VISION}
    module = LanguageModule(config={**model, "mm_tokens_per_image": 4}, tokenizer="byte", dropout=False)
    assert module.architecture.unreached == ("model.vision_tower", "model.multi_modal_projector")
    assert module.strategy_problems(DDPStrategy()) == []
    module.configure_model()
    assert module.model is not None
    ids = torch.arange(10, 20)[None]
    module.mean_loss({"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}).backward()
    for name, parameter in module.model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.requires_grad == ("vision_tower" not in name and "multi_modal_projector" not in name)


def test_parts_that_a_text_may_miss_need_the_strategy_that_allows_it() -> None:
    switch = {
        "model_type": "switch_transformers",
        "d_model": 16,
        "d_ff": 24,
        "d_kv": 8,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_sparse_encoder_layers": 1,
        "num_sparse_decoder_layers": 1,
        "num_heads": 2,
        "num_experts": 8,
    }
    module = LanguageModule(config=switch, tokenizer="byte")
    (found,) = module.strategy_problems(DDPStrategy())
    assert "experts" in found
    assert "ddp_find_unused_parameters_true" in found
    assert module.strategy_problems(DDPStrategy(find_unused_parameters=True)) == []
    assert module.strategy_problems(SingleDeviceStrategy("cpu")) == []


@pytest.mark.parametrize("model_type", ["m2m_100", "blenderbot", "bart", "mbart", "led", "pegasus", "marian", "t5"])
def test_decoder_inputs_are_the_models_own(model_type: str) -> None:
    """transformers shifts ``labels`` itself where they are given: the logits must be the same."""
    from transformers import AutoModelForSeq2SeqLM

    if model_type == "t5":
        made = {k: BOTH[k] for k in ("d_model", "vocab_size", "pad_token_id", "eos_token_id", "decoder_start_token_id")}
        fields = {**made, "d_ff": 24, "d_kv": 8, "num_layers": 1, "num_heads": 2}
    else:
        fields = BOTH
    model = AutoModelForSeq2SeqLM.from_config(config(model_type, **fields)).eval()
    source = torch.tensor([[5, 6, 7, 8]] * 2)
    labels = torch.tensor([[9, 10, 11, 1], [12, 1, -100, -100]])
    with torch.no_grad():
        own = model(input_ids=source, labels=labels).logits
        ours = model(input_ids=source, decoder_input_ids=decoder_inputs(model, labels)).logits
    assert torch.equal(ours[labels != -100], own[labels != -100])
