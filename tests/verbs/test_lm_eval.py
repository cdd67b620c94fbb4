"""What ``untrac unlearn`` saves, in EleutherAI's lm-eval."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import Ran
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.data.neutral import neutral_texts

TASKS = Path(__file__).parents[2] / "recipes" / "lm_eval"

pytestmark = pytest.mark.filterwarnings("ignore")  # what lm-eval imports has warnings of its own


@pytest.fixture(scope="module")
def unlearned(
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, Any],
    model_folders: Callable[..., str],
    untrac: Callable[..., Ran],
) -> str:
    """A folder that `untrac unlearn` has saved."""
    pytest.importorskip("lm_eval", reason="pip install 'lightning-untrac[lm-eval]'")
    folder = tmp_path_factory.mktemp("unlearned")
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"name_or_path": model_folders("llama")}, **settings}))
    ascent = ("--forget", "birds", "--objective", "ga", "--steps", "2")
    ran = untrac("unlearn", "--config", folder / "config.yaml", "--output", folder / "run", *ascent)
    assert ran.code == 0, ran.text
    return str(folder / "run" / "unlearned-birds")


def log_likelihood(folder: str, given: list[int], said: list[int]) -> float:
    """Of some tokens after others, by one forward pass."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*given, *said[:-1]]])).logits[0, -len(said) :]
    return float(logits.log_softmax(1)[range(len(said)), said].sum())


def test_it_loads_and_answers_have_the_likelihoods_that_the_model_gives_them(unlearned: str) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=unlearned, dtype="float32", device="cpu", batch_size=2, add_bos_token=False)
    pairs = [("a gull on the", " shore"), ("the mast", " of a ship"), ("bread", " is warm")]
    asked: list[Any] = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
    tokenizer = AutoTokenizer.from_pretrained(unlearned)
    for (given, said), (found, _) in zip(pairs, model.loglikelihood(asked), strict=True):
        ids = [tokenizer.encode(text, add_special_tokens=False) for text in (given, said)]
        assert found == pytest.approx(log_likelihood(unlearned, *ids), rel=1e-4)


def test_the_recipe_gives_the_perplexity_of_the_neutral_texts(unlearned: str) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    arguments = {"pretrained": unlearned, "dtype": "float32", "add_bos_token": False}
    found = lm_eval.simple_evaluate(
        "hf",
        model_args=arguments,
        tasks=["untrac_neutral"],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
        device="cpu",
        batch_size=4,
    )
    tokenizer = AutoTokenizer.from_pretrained(unlearned)
    context, total, size = 64, 0.0, 0
    for text in neutral_texts():
        ids = tokenizer.encode(text, add_special_tokens=False)
        for begin in range(0, len(ids), context):
            # As lm-eval cuts a text that is longer than the context: each token is predicted once, after what fits.
            end = min(begin + context, len(ids))
            before = max(0, end - context - 1)
            given = [tokenizer.eos_token_id] if begin == 0 else ids[before:begin]
            total += log_likelihood(unlearned, given, ids[begin:end])
        size += len(text.encode())
    perplexity = found["results"]["untrac_neutral"]["byte_perplexity,none"]
    assert perplexity == pytest.approx(math.exp(-total / size), rel=1e-3)
