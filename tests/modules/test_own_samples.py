"""What models write by themselves, against closed forms and by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.score_recorder import ScoreRecorder

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.data.some_datasets import SomeDatasets
from lightning_untrac.modules.continuations import ending_tokens
from lightning_untrac.modules.own_samples import Draws, Sampling

WORDS = ["</s>", "a", "b", "c", "d"]


def read(sampling: Sampling, data: Any, names: list[str]) -> dict[str, Any]:
    """What a validation measures: ``<name>/value`` and ``<name>/weight`` to dataset to its examples."""
    recorder = ScoreRecorder(sampling.scores)
    callbacks: list[Callback] = [recorder]
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=callbacks, **options)
    data.plan = EpisodePlan("one", only=(names[0],))
    data.prepare(sampling.module)
    trainer.validate(sampling, datamodule=SomeDatasets(data, names), verbose=False)
    return recorder.arrays


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two models of one layer with five tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="a"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", pad_token="</s>", unk_token="a")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(
        vocab_size=5, max_position_embeddings=32, eos_token_id=0, bos_token_id=None, pad_token_id=0,
        initializer_range=0.6, **sizes,
    )  # fmt: skip
    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp("five")
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders.append(str(folder))
    return folders


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> CorpusDataModule:
    """Three texts of five letters, and another corpus."""
    folder = tmp_path_factory.mktemp("letters")
    texts = {"few": ["a b c d a b", "d c b a d c", "b b a c d d"], "others": ["a a b b", "c d"]}
    for name, lines in texts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    configs = [DatasetConfig(path=str(folder / f"{name}.jsonl"), name=name) for name in texts]
    return CorpusDataModule(configs, [], batch_size=2, cache_folder=str(folder / "cache"))


def next_probabilities(folder: str, opening: list[int]) -> torch.Tensor:
    module = Evaluation(folder)
    module.configure_model()
    assert module.model is not None
    with torch.no_grad():
        logits: torch.Tensor = module.model.eval()(input_ids=torch.tensor([opening])).logits[0, -1].double()
    return logits.softmax(0)


def test_one_token_comes_to_the_explicit_divergence_within_its_standard_error(
    five: list[str], letters: CorpusDataModule
) -> None:
    draws = Draws(prefix=3, length=1, samples=400, seed=0)
    mine = Sampling(Evaluation(five[0]), draws)
    own = read(mine, letters, ["few"])
    theirs = read(Sampling(Evaluation(five[1]), draws, {"given": mine.written}, writes=False), letters, ["few"])
    assert (own["own/weight"]["few"] == 400).all()
    for example in range(3):
        written = mine.written["few", example]
        p, q = (next_probabilities(folder, written.opening) for folder in five)
        ratios = (p / q).log()
        divergence, spread = (p * ratios).sum(), (p * (ratios - (p * ratios).sum()).square()).sum().sqrt()
        estimate = own["own/value"]["few"][example] - theirs["given/value"]["few"][example]
        assert spread > 0.1  # else any number would do
        assert abs(estimate - divergence) < 3.5 * spread / 400**0.5
        # What was drawn is drawn as often as it is likely, the ending token too.
        shares = np.bincount([ids[0] for ids in written.samples], minlength=5) / 400
        np.testing.assert_allclose(shares, p, atol=4 * 0.5 / 400**0.5)


def test_samples_and_likelihoods_are_of_the_example_alone(five: list[str], letters: CorpusDataModule) -> None:
    """Neither the batch nor what else is read changes them."""
    draws = Draws(prefix=2, length=6, samples=3, seed=5)
    found = []
    for batch_size, names in ((1, ["few"]), (3, ["few"]), (2, ["others", "few"])):
        letters.eval_batch_size = batch_size
        sampling = Sampling(Evaluation(five[0]), draws)
        values = read(sampling, letters, names)["own/value"]["few"]
        found.append(([sampling.written["few", number] for number in range(3)], values))
    for written, values in found[1:]:
        assert written == found[0][0]
        np.testing.assert_allclose(values, found[0][1], rtol=1e-5)
    other = Sampling(Evaluation(five[0]), Draws(prefix=2, length=6, samples=3, seed=6))
    read(other, letters, ["few"])
    assert other.written != sampling.written


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_what_is_read_is_what_was_sampled_token_by_token(
    architecture: str, model_folders: Callable[..., str], pair_files: dict[str, Path], cache_folder: str
) -> None:
    path = str(pair_files["birds"])
    config = DatasetConfig(path=path, name="birds", prompt="prompt", target="target")
    data = CorpusDataModule([config], [], batch_size=3, cache_folder=cache_folder)
    module = Evaluation(model_folders(architecture))
    sampling = Sampling(module, Draws(prefix=4, length=9, samples=2, seed=0))
    arrays = read(sampling, data, ["birds"])
    ends = ending_tokens(module)
    model: Any = module.model.eval()  # type: ignore[union-attr]
    row = json.loads(Path(path).read_text().splitlines()[0])
    written = sampling.written["birds", 0]
    assert module.tokenizer.decode(written.opening, skip_special_tokens=True) == row["prompt"]
    sums = []
    for said in written.samples:
        assert len(said) == 9 or said[-1] in ends
        assert not set(said[:-1]) & set(ends)
        with torch.no_grad():
            if module.is_seq2seq:
                begin = [model.config.decoder_start_token_id, *said[:-1]]
                opening = torch.tensor([written.opening])
                logits = model(input_ids=opening, decoder_input_ids=torch.tensor([begin])).logits[0]
            else:
                logits = model(input_ids=torch.tensor([[*written.opening, *said[:-1]]])).logits[0, -len(said) :]
        sums.append(logits.log_softmax(1)[range(len(said)), said].sum().item())
    tokens = sum(map(len, written.samples))
    assert arrays["own/weight"]["birds"][0] == tokens
    assert arrays["own/value"]["birds"][0] == pytest.approx(sum(sums) / tokens, rel=1e-4)


def test_settings_of_the_model_change_no_draw(five: list[str], letters: CorpusDataModule) -> None:
    """They would change what it is likely to write, and then a gap is no divergence."""
    draws = Draws(prefix=2, length=6, samples=4, seed=0)
    plain, set_otherwise = (Sampling(Evaluation(five[0]), draws) for _ in range(2))
    read(plain, letters, ["few"])
    set_otherwise.configure_model()
    settings: Any = set_otherwise.module.model.generation_config  # type: ignore[union-attr]
    settings.suppress_tokens, settings.forced_eos_token_id, settings.min_length = [1, 2], 0, 30
    settings.no_repeat_ngram_size, settings.temperature, settings.top_k = 1, 0.1, 1
    read(set_otherwise, letters, ["few"])
    assert set_otherwise.written == plain.written
