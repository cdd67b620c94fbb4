"""Greedy continuations of several prompts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import pytest
import torch

from lightning_untrac import LanguageModule
from lightning_untrac.modules.continuations import ending_tokens
from lightning_untrac.modules.continuing import Continuing

PROMPTS = [
    list(b"a gull"),
    list(b"the mast of a ship and its keel"),
    list(b"x"),
    *([i + 40] * (i + 1) for i in range(20)),
]
LONGEST = 7


def continued(module: LanguageModule, prompts: list[list[int]], longest: int = LONGEST) -> list[list[int]]:
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    continuing = Continuing(module, longest)
    trainer.predict(continuing, torch.utils.data.DataLoader([prompts], batch_size=None))  # type: ignore[arg-type]
    return continuing.found


def by_hand(module: LanguageModule, prompt: list[int], longest: int) -> list[int]:
    """The likeliest token again and again, each by a whole forward pass of one prompt without padding."""
    model: Any = module.model
    model.eval()
    ends, said = ending_tokens(module), list[int]()
    for _ in range(longest):
        with torch.no_grad():
            if module.is_seq2seq:
                begin = [model.config.decoder_start_token_id, *said]
                logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([begin])).logits
            else:
                logits = model(input_ids=torch.tensor([prompt + said])).logits
        if (token := int(logits[0, -1].argmax())) in ends:
            break
        said.append(token)
    return said


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "t5"])
def test_a_batch_of_unequal_prompts_says_what_each_says_alone(
    architecture: str, model_folders: Callable[..., str]
) -> None:
    module = LanguageModule(model_folders(architecture), dtype="float64")
    found = continued(module, PROMPTS)
    assert found == [by_hand(module, prompt, LONGEST) for prompt in PROMPTS]
    assert any(found)


def test_it_ends_at_the_end_of_the_context_and_at_an_ending_token(model_folders: Callable[..., str]) -> None:
    module = LanguageModule(model_folders("llama"))
    short, full = continued(module, [[40] * 60, [40] * 64], 9)
    assert full == []
    assert short == continued(module, [[40] * 60], 9)[0]  # a longer prompt beside it takes nothing from it
    assert len(short) <= 4
    (free,) = continued(module, [[40] * 5], 9)
    module.model.generation_config.eos_token_id = [free[0]]  # type: ignore[union-attr]
    assert continued(module, [[40] * 5], 9) == [[]]


def test_settings_of_the_model_draw_nothing_and_its_mode_stays(model_folders: Callable[..., str]) -> None:
    module = LanguageModule(model_folders("llama"))
    module.configure_model()
    assert module.model is not None
    before = continued(module, PROMPTS)
    module.model.generation_config.do_sample = True
    module.model.generation_config.repetition_penalty = 3.0
    module.model.train()
    assert continued(module, PROMPTS) == before
