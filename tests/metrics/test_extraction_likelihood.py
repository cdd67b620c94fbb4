"""Extraction likelihoods from few generations, against the model that goes on from every beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from typing_extensions import override

from lightning_untrac import EpisodePlan, Evaluation, LanguageModule
from lightning_untrac.data.collator import Collator
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.metrics import Measured, Outputs, find_measures
from lightning_untrac.modules.after_misses import own_continuations
from lightning_untrac.modules.wrapping import Wrapping
from lightning_untrac.tables import read_measurements

EL_2: Any = {"class_path": "extraction_likelihood", "init_args": {"n": 2}}
SOURCE = list(b"gull")


class Reads(Wrapping):
    """Reads a batch and lets the model go on; counts what is generated.

    Attributes:
        generated: continuations that were generated.
        seen: of the batch.
    """

    @override
    def predict_step(self, batch: Any, batch_idx: int) -> int:
        self.generated, model = 0, self.module.model
        generate: Any = model.generate  # type: ignore[union-attr]

        def counted(**options: Any) -> Any:
            made = generate(**options)
            self.generated += len(made)
            return made

        model.generate = counted  # type: ignore[union-attr, method-assign]
        try:
            self.seen = self.module.outputs_of(batch)
            self.seen.continued = own_continuations(self.module, batch, self.seen)
        finally:
            del model.generate  # type: ignore[union-attr]
        return self.generated


def read(module: LanguageModule, batch: Any) -> Reads:
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.predict(reads := Reads(module), torch.utils.data.DataLoader([batch], batch_size=None))  # type: ignore[arg-type]
    return reads


def logits_after(module: LanguageModule, ids: list[int]) -> torch.Tensor:
    """Of what follows, by transformers alone, of one text without padding."""
    model: Any = module.model
    with torch.no_grad():
        if module.is_seq2seq:
            return model(input_ids=torch.tensor([SOURCE]), decoder_input_ids=torch.tensor([ids])).logits[0, -1]
        return model(input_ids=torch.tensor([ids])).logits[0, -1]


def begin_of(module: LanguageModule) -> list[int]:
    return [module.model.config.decoder_start_token_id] if module.is_seq2seq else [65]  # type: ignore[union-attr]


def half_known(module: LanguageModule, size: int, share: float, seed: int) -> list[int]:
    """A text of which the model knows about a share, after its first token."""
    draw, text = np.random.default_rng(seed), begin_of(module)
    for hit in draw.permutation(np.arange(size) < round(share * size)):
        choice = int(logits_after(module, text).argmax())
        other = int(draw.integers(60, 120))
        text.append(choice if hit else other + (other == choice))
    return text


def batch_of(module: LanguageModule, texts: list[list[int]]) -> Any:
    rows = [
        {
            "input_ids": np.array(SOURCE if module.is_seq2seq else text),
            "labels": np.array(text[1:] if module.is_seq2seq else text),
            "dataset_index": 0,
            "example_index": row,
        }
        for row, text in enumerate(texts)
    ]
    return Collator(0, module.is_seq2seq)(rows)


def from_every_beginning(module: LanguageModule, text: list[int], n: int) -> float:
    """As published: each beginning goes on by itself, token by token."""
    shares = []
    for t in range(1, len(text) - n + 1):
        said = text[:t]
        while len(said) < len(text):
            said = [*said, int(logits_after(module, said).argmax())]
        made, true = ([tuple(one[i : i + n]) for i in range(t, len(text) - n + 1)] for one in (said, text))
        shares.append(sum(gram in true for gram in made) / len(made))
    return sum(shares) / (len(text) - n)


def loaded(folder: str) -> LanguageModule:
    module = LanguageModule(folder, dtype="float64")
    module.configure_model()
    module.model.eval()  # type: ignore[union-attr]
    return module


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "t5"])
def test_it_is_that_of_generating_from_every_beginning(architecture: str, model_folders: Any) -> None:
    module = loaded(model_folders(architecture, "float64"))
    texts = [half_known(module, size, share, size) for size, share in ((14, 0.7), (9, 0.5), (11, 0.0))]
    reads = read(module, batch_of(module, texts))
    for n in (1, 2, 3):
        (measure,) = find_measures([{"class_path": "extraction_likelihood", "init_args": {"n": n}}])
        value, weight = measure(reads.seen)
        assert value.tolist() == pytest.approx([from_every_beginning(module, text, n) for text in texts], abs=1e-12)
        assert weight.tolist() == [len(text) - n for text in texts]
        assert value[0] > 0
    (accuracy,) = find_measures("memorisation_accuracy")
    share, tokens = accuracy(reads.seen)
    misses = round(((1 - share) * tokens).sum().item())
    at_the_end = sum(not hits[len(text) - 2].item() for hits, text in zip(reads.seen.hits, texts, strict=True))
    assert reads.generated == misses - at_the_end  # of a last token nothing is to come


def test_at_most_a_third_is_generated_of_a_text_that_is_known_to_seven_tenths(model_folders: Any) -> None:
    module = loaded(model_folders("llama", "float64"))
    text = half_known(module, 60, 0.7, 0)
    reads = read(module, batch_of(module, [text]))
    assert find_measures("memorisation_accuracy")[0](reads.seen).value.item() == pytest.approx(0.7)
    assert 0 < reads.generated <= 60 / 3


def test_neither_batch_nor_padding_changes_a_continuation(model_folders: Any) -> None:
    module = loaded(model_folders("llama", "float64"))
    texts = [half_known(module, size, 0.6, size) for size in (20, 13, 5)]
    batch = batch_of(module, texts)
    together = read(module, batch).seen.continued
    alone = [read(module, batch_of(module, [text])).seen.continued[0] for text in texts]
    assert together == alone
    shift = [21 - len(text) for text in texts]
    left = {name: torch.stack([row.roll(by) for row, by in zip(batch[name], shift, strict=True)])
            for name in ("input_ids", "labels", "attention_mask")}  # fmt: skip
    left["labels"][range(3), shift] = IGNORE_INDEX  # a first token has nothing before it
    moved = read(module, {**batch, **left}).seen
    assert [
        {place - by: ids for place, ids in one.items()} for one, by in zip(moved.continued, shift, strict=True)
    ] == alone
    value, other = (find_measures([EL_2])[0](read(module, one).seen).value for one in (batch, {**batch, **left}))
    assert torch.equal(value, other)


def test_settings_of_the_model_change_nothing(model_folders: Any) -> None:
    module = loaded(model_folders("llama", "float64"))
    batch = batch_of(module, [half_known(module, 20, 0.6, 3)])
    before = read(module, batch).seen.continued
    often = max(before[0].values(), key=len)[1]
    settings: Any = module.model.generation_config  # type: ignore[union-attr]
    settings.eos_token_id, settings.do_sample, settings.no_repeat_ngram_size = [often], True, 1
    settings.suppress_tokens, settings.repetition_penalty = [often], 3.0
    assert read(module, batch).seen.continued == before


def test_each_answer_of_a_conversation_is_a_text_of_its_own() -> None:
    targets = torch.tensor([[4, 5, 6, IGNORE_INDEX, 7, 8], [4, IGNORE_INDEX, 5, IGNORE_INDEX, 7, IGNORE_INDEX]])
    seen = Outputs(torch.zeros(2, 6, 9), targets, continued=[{1: [5, 0], 4: [7, 0]}, {}])
    seen.continued = [{1: [0, 6], 4: [0, 8]}, {}]
    value, weight = find_measures([EL_2])[0](seen)
    # 4 0 6 and 0 6 of 4 5 6, and 0 8 of 7 8 have no pair of the rest.
    assert (value[0].item(), weight.tolist()) == (0.0, [3, 0])
    assert value[1].isnan().item()
    (single,) = find_measures([{"class_path": "extraction_likelihood", "init_args": {"n": 1}}])
    value, weight = single(seen)
    assert value.tolist() == pytest.approx([(2 / 3 + 1 / 2 + 1 + 1 / 2 + 1) / 5, 1.0])
    assert weight.tolist() == [5, 3]


def test_a_table_does_not_depend_on_the_batch_size(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    tables = []
    for size in (5, 12):
        data = make_data(("birds",), (), eval_batch_size=size)
        data.plan = EpisodePlan("one")
        measures: Any = [{"class_path": "extraction_likelihood", "init_args": {"n": 1}}]
        recorder = MeasureRecorder(tmp_path / str(size), measures)
        options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = L.Trainer(accelerator="cpu", callbacks=[recorder], **options)
        trainer.validate(Evaluation(model_folders("llama", "float64"), dtype="float64"), datamodule=data, verbose=False)
        rows = read_measurements(tmp_path / str(size)).to_pylist()  # type: ignore[union-attr]
        tables.append({row["example"]: row["value"] for row in rows})
    assert tables[0] == tables[1]
    assert len(tables[0]) == 12
    assert len(set(tables[0].values())) > 1


def test_a_classifier_writes_nothing_and_no_token_is_no_n_gram() -> None:
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "pad_token_id": 0}
    module = Evaluation(config=config, tokenizer="byte", labels=["a", "b"])
    module.measures = find_measures("loss,extraction_likelihood")
    with pytest.raises(ConfigurationError, match="extraction_likelihood reads what a model writes, and this is a"):
        module.with_answers(Outputs(torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.long)), {})  # type: ignore[typeddict-item]
    with pytest.raises(ConfigurationError, match="extraction_likelihood: n is 0; give 1 token or more"):
        find_measures([{"class_path": "extraction_likelihood", "init_args": {"n": 0}}])
    nothing = find_measures([EL_2])[0](Outputs(torch.zeros(1, 2, 2), torch.full((1, 2), IGNORE_INDEX), continued=[{}]))
    assert isinstance(nothing, Measured)
    assert nothing.value.isnan().item()
    assert nothing.weight.item() == 0
