"""A folder of several models is read as one that predicts the mean of their probabilities."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch

from lightning_untrac import CorpusDataModule, DatasetConfig, LanguageModule
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules import Pretraining
from lightning_untrac.modules.continuations import ending_tokens
from lightning_untrac.modules.continuing import Continuing
from lightning_untrac.runs.saved_models import damage_of, digest_of
from lightning_untrac.runs.sharded import save_ensemble

TINY: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64},
    "llama": {
        "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
    },
    "bert": {
        "model_type": "bert", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 64,
    },
}  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(kind: str, labels: list[str] | None = None, count: int = 3) -> Path:
        folders = []
        for seed in range(count):
            config = {**TINY[kind], "initializer_range": 0.4}
            module = LanguageModule(config=config, tokenizer="byte", init_seed=seed, labels=labels)
            module.configure_model()
            folders.append(tmp_path / f"{kind}-{seed}")
            assert module.model is not None
            module.model.save_pretrained(folders[-1])
            module.tokenizer.save_pretrained(folders[-1])
        save_ensemble(tmp_path / f"{kind}-all", folders, {"seed": 0})
        return tmp_path / f"{kind}-all"

    return save


def probs(folder: Path, auto: str, ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """By transformers alone, in float64."""
    import transformers

    members = sorted(folder.glob("shard-*"))
    assert len(members) == 3
    models = [getattr(transformers, auto).from_pretrained(member).eval() for member in members]
    with torch.no_grad():
        return torch.stack([model(input_ids=ids, **inputs).logits.double().softmax(-1) for model in models]).mean(0)


def test_a_classifier_says_the_mean_of_its_members(saved: Callable[..., Path]) -> None:
    folder = saved("bert", ["no", "yes", "both"])
    module = LanguageModule(str(folder))
    module.configure_model()
    assert module.task.labels == ("no", "yes", "both")
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 3, 3]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    batch: Any = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([[0], [2]])}
    assert module.model is not None
    module.model.eval()
    with torch.no_grad():
        logits, _ = module(batch)
    expected = probs(folder, "AutoModelForSequenceClassification", ids, attention_mask=mask)
    torch.testing.assert_close(logits[:, 0].double().softmax(-1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_language_model_measures_and_continues_by_the_mean(saved: Callable[..., Path], kind: str) -> None:
    folder = saved(kind)
    module = LanguageModule(str(folder))
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    prompts = [list(b"a gull"), list(b"the mast of a ship"), list(b"x")]
    continuing = Continuing(module, 6)
    trainer.predict(continuing, torch.utils.data.DataLoader([prompts], batch_size=None))  # type: ignore[arg-type]
    ends = ending_tokens(module)
    for prompt, found in zip(prompts, continuing.found, strict=True):
        said: list[int] = []
        while len(said) < 6:
            token = int(probs(folder, "AutoModelForCausalLM", torch.tensor([[*prompt, *said]]))[0, -1].argmax())
            if token in ends:
                break
            said.append(token)
        assert found == said
    ids = torch.tensor([[5, 6, 7, 8]])
    batch: Any = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with module.without_dropout():
        loss = module.mean_loss(batch).item()
    log_probs = probs(folder, "AutoModelForCausalLM", ids).log()[0, :-1]
    assert loss == pytest.approx(-log_probs.gather(1, ids[0, 1:, None]).mean().item(), abs=1e-5)


def test_it_is_not_trained(saved: Callable[..., Path], tmp_path: Path, cache_folder: str) -> None:
    folder = saved("gpt2")
    (tmp_path / "texts.txt").write_text("a gull\na mast\n")
    data = CorpusDataModule([DatasetConfig(str(tmp_path / "texts.txt"), "texts")], cache_folder=cache_folder)
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ConfigurationError, match=r"is an ensemble of 3 models, .* give one of them, such as .*shard-1"):
        trainer.fit(Pretraining(str(folder)), data)


def test_its_hidden_states_are_those_of_all_members(saved: Callable[..., Path]) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = saved("bert", ["no", "yes"])
    module = LanguageModule(str(folder))
    module.configure_model()
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 3]])
    batch: Any = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([[0], [1]])}
    with module.without_dropout(), torch.no_grad():
        found = module.outputs_of(batch, hidden_states=True).hidden_states
    assert found is not None
    assert [layer.shape for layer in found] == [(2, 1, 48)] * 2
    for number in range(3):
        member = AutoModelForSequenceClassification.from_pretrained(folder / f"shard-{number + 1}").eval()
        with torch.no_grad():
            alone = member(input_ids=ids, output_hidden_states=True).hidden_states[-1][:, 0]
        torch.testing.assert_close(found[-1][:, 0, 16 * number : 16 * (number + 1)], alone)


@pytest.mark.parametrize("content", ["{}", '{"members": []}', '{"members": ["../gpt2-0"]}', '{"members": 3}', "["])
def test_a_list_of_members_that_is_none(saved: Callable[..., Path], content: str) -> None:
    folder = saved("gpt2")
    (folder / "ensemble.json").write_text(content)
    assert [problem for problem in LanguageModule(str(folder)).problems() if "names no members" in problem]


def test_damage_in_a_member_is_noticed(saved: Callable[..., Path]) -> None:
    folder = saved("gpt2")
    digest = digest_of(folder)
    assert damage_of(folder) == []
    weights = folder / "shard-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert [damage for damage in damage_of(folder) if "shard-2/model.safetensors is damaged" in damage]
    assert digest_of(folder) == digest  # that of what was saved
    other = saved("gpt2", count=2)
    assert digest_of(other) != digest
    shutil.rmtree(other / "shard-2")
    assert [damage for damage in damage_of(other) if "shard-2/config.json is missing" in damage]
    assert [one for one in LanguageModule(str(other)).problems() if "names shard-2, which is no model" in one]
    assert json.loads((other / "ensemble.json").read_text())["members"] == ["shard-1", "shard-2"]
