"""Another model writes, through a text generation pipeline of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.antisamples.generators import GENERATORS, Asked
from lightning_untrac.errors import ConfigurationError


def written(name: str, temperature: float, *draws: int, longest: int = 12) -> list[Any]:
    pipe = GENERATORS.make({"class_path": "pipeline", "init_args": {"name_or_path": name, "device": "cpu"}})
    asked = [Asked("a heron in the reeds", (draw,)) for draw in draws] + [Asked("the lamp", (0,))]
    return pipe.write(asked, temperature, longest)


def test_it_writes_what_the_model_goes_on_with(model_folders: Callable[..., str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folders("gpt2")
    found = written(folder, 0.0, 0)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("the lamp", return_tensors="pt")
    alone = model.generate(**ids, max_new_tokens=12, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    said = tokenizer.decode(alone[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert found[1].text == said.strip()  # padded beside a longer one, too
    assert all(0 <= one.tokens <= 12 for one in found)


def test_a_draw_is_of_its_seeds(model_folders: Callable[..., str]) -> None:
    folder = model_folders("gpt2")
    assert written(folder, 1.0, 1) == written(folder, 1.0, 1)
    assert written(folder, 1.0, 1) != written(folder, 1.0, 2)


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="generator: can't load"):
        written(str(tmp_path / "none"), 0.0, 0)
