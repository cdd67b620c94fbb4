"""States of one model inside another, against models put together from the weights of both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, BertConfig, GPTNeoXConfig, PretrainedConfig

from lightning_untrac import LanguageModule
from lightning_untrac.data.collator import Collator
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.modules.blocks import Blocks, find_blocks, patched, recorded
from lightning_untrac.modules.patching import Patched

NEOX = {"model_type": "gpt_neox", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64}  # fmt: skip
LISTS = {
    "llama": "model.layers",
    "gpt2": "transformer.h",
    "opt": "model.decoder.layers",
    "gpt_neox": "gpt_neox.layers",
    "t5": "decoder.block",
}
CAUSAL = ("llama", "gpt2", "opt", "gpt_neox")
TEXTS = ([5, 6, 7, 8, 9, 10], [11, 12, 13], [14, 15, 16, 17])


@pytest.fixture
def made(tiny_configs: dict[str, dict[str, Any]]) -> Callable[..., LanguageModule]:
    def make(architecture: str, seed: int, spread: float = 0.3) -> LanguageModule:
        config = {**tiny_configs, "gpt_neox": NEOX}[architecture]
        module = LanguageModule(config=config, tokenizer="byte", init_seed=seed)
        module.configure_model()
        assert module.model is not None
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.model.parameters():  # so large that every part shows
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=spread)
        module.model.eval()
        return module

    return make


def both(module: LanguageModule, source: LanguageModule) -> Patched:
    blocks = find_blocks(module.model_config)
    assert blocks is not None
    return Patched(module, source, blocks)


def batch_of(texts: Any, prompt: int = 0, targets_apart: bool = False) -> Any:
    rows = [
        {
            "input_ids": text,
            "labels": [*[IGNORE_INDEX] * prompt, *text[prompt:]],
            "dataset_index": 0,
            "example_index": place,
        }
        for place, text in enumerate(texts)
    ]
    return Collator(pad_token=0, targets_apart=targets_apart)(rows)


def effects(module: Patched, batch: Any) -> torch.Tensor:
    """``[layers, batch]``."""
    with torch.no_grad():
        measured = module.validation_step(batch, 0)["measured"]
    assert all((one.weight == 1).all() for one in measured.values())
    return torch.stack([measured[score].value for score in module.scores])


def sums(module: LanguageModule, batch: Any) -> torch.Tensor:
    with torch.no_grad():
        losses, counts = module.outputs_of(batch).losses
    return losses / counts


@pytest.mark.parametrize("architecture", list(LISTS))
def test_blocks_are_found_by_trying(architecture: str, made: Any) -> None:
    config = copy.deepcopy(made(architecture, 0).model_config)
    assert find_blocks(config) == Blocks(LISTS[architecture], 2)
    deeper = "num_decoder_layers" if architecture == "t5" else "num_hidden_layers"
    setattr(config, deeper, 3)
    assert find_blocks(config) == Blocks(LISTS[architecture], 3)


def test_of_a_large_model_a_small_one_is_tried() -> None:
    large = GPTNeoXConfig(hidden_size=6144, intermediate_size=24576, num_hidden_layers=44, num_attention_heads=64)
    assert find_blocks(large) == Blocks("gpt_neox.layers", 44)


@pytest.mark.parametrize("config", [BertConfig(is_decoder=True), AutoConfig.for_model("albert")])
def test_where_layers_share_their_weights_there_are_none(config: PretrainedConfig) -> None:
    found = find_blocks(config)
    assert (found is None) == (config.model_type == "albert")


@pytest.mark.parametrize("architecture", CAUSAL)
def test_it_is_a_model_of_the_layers_of_both(architecture: str, made: Any) -> None:
    """All places are replaced but the last, which no other sees: below lies the source, above it the module."""
    module, source = made(architecture, 1), made(architecture, 2)
    patching, batch = both(module, source), batch_of(TEXTS)
    found, whole = effects(patching, batch), sums(module, batch)
    embedded: list[Any] = []
    first = patching.blocks.of(source.model)[0]
    handle = first.register_forward_pre_hook(lambda _, *given: embedded.append(given), with_kwargs=True)
    sums(source, batch)
    handle.remove()
    (args, named), states = embedded[0], "hidden_states"

    def put_in(_: Any, own: Any, own_named: Any) -> Any:  # the head may be tied to the embeddings, which stay
        return ((args[0], *own[1:]), own_named) if own else ((), {**own_named, states: named[states]})

    for layer in range(2):
        mixed = made(architecture, 1)
        pairs = list(zip(*(patching.blocks.of(one.model) for one in (mixed, source)), strict=True))
        for block, lower in pairs[: layer + 1]:
            block.load_state_dict(lower.state_dict())
        pairs[0][0].register_forward_pre_hook(put_in, with_kwargs=True)
        torch.testing.assert_close(found[layer], sums(mixed, batch) - whole, rtol=1e-4, atol=1e-5)
    assert (found.abs() > 1e-3).all()


@pytest.mark.parametrize("architecture", list(LISTS))
@pytest.mark.parametrize("prompt", [0, 2])
def test_own_states_change_nothing(architecture: str, prompt: int, made: Any) -> None:
    batch = batch_of(TEXTS, prompt, architecture == "t5")
    assert (effects(both(made(architecture, 1), made(architecture, 1)), batch) == 0).all()


@pytest.mark.parametrize("architecture", list(LISTS))
def test_the_batch_changes_nothing(architecture: str, made: Any) -> None:
    module, apart = both(made(architecture, 1), made(architecture, 2)), architecture == "t5"
    together = effects(module, batch_of(TEXTS, 2, apart))
    alone = [effects(module, batch_of([text], 2, apart)) for text in TEXTS]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)
    assert together.abs().min() > 1e-4


def test_the_side_of_the_padding_changes_nothing(made: Any) -> None:
    module = both(made("llama", 1), made("llama", 2))
    right = batch_of(TEXTS, 1)
    left = dict(right)
    for row, text in enumerate(TEXTS):
        for name in ("input_ids", "attention_mask", "labels"):
            left[name] = left[name].clone() if row == 0 else left[name]
            left[name][row] = left[name][row].roll(right["input_ids"].shape[1] - len(text))
    assert left["attention_mask"][1].tolist() == [0, 0, 0, 1, 1, 1]
    torch.testing.assert_close(effects(module, left), effects(module, right), rtol=1e-4, atol=1e-5)


def test_prompts_are_left_as_they_are(made: Any) -> None:
    module, source = made("llama", 1), made("llama", 2)
    blocks = find_blocks(module.model_config)
    assert blocks is not None
    (first, last), (_, theirs) = (blocks.of(one.model) for one in (module, source))
    batch = batch_of([TEXTS[0]], 3)
    places = module.outputs_of(batch).places
    assert places.tolist() == [[False, False, True, True, True, False]]
    with torch.no_grad(), recorded([first, last]) as own:
        module.outputs_of(batch)
    with torch.no_grad(), recorded([theirs]) as others:
        source.outputs_of(batch)
    with torch.no_grad(), patched(last, others[0][0][places], places), recorded([last]) as mixed:
        module.outputs_of(batch)
    now, was, aim = mixed[0][0], own[1][0], others[0][0]
    assert torch.equal(now[places], aim[places])
    assert torch.equal(now[~places], was[~places])


def test_a_block_that_does_not_run_is_an_error(made: Any) -> None:
    module = both(made("llama", 1), made("llama", 2))
    module.source.model.model.layers = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    module.source.model.forward = made("llama", 2).model.forward
    with pytest.raises(UnlearningError, match=r"block 0 of model\.layers ran 0 times"):
        effects(module, batch_of(TEXTS))
