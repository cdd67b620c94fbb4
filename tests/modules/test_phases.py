from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, LanguageModule, Pretraining, Unlearning
from lightning_untrac.errors import ConfigurationError


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt"])
def test_loss_is_that_of_transformers(architecture: str, make_data: Any, model_folders: Any) -> None:
    from transformers import AutoModelForCausalLM

    from lightning_untrac.data import Collator

    module = LanguageModule(model_folders(architecture), dropout=False)
    module.configure_model()
    reference = AutoModelForCausalLM.from_pretrained(model_folders(architecture))
    data = make_data()
    data.prepare(module)
    dataset = data.tokenized_corpora["birds"]
    rows = [{**dataset[i], "dataset_index": 0, "example_index": i} for i in range(4)]
    batch = Collator(0)(rows)
    expected = reference(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
    ).loss
    assert module.mean_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_seq2seq_loss_is_that_of_transformers(pair_files: Any, model_folders: Any, cache_folder: str) -> None:
    from transformers import AutoModelForSeq2SeqLM

    from lightning_untrac.data import Collator

    module = LanguageModule(model_folders("t5"), dropout=False)
    module.configure_model()
    config = DatasetConfig(str(pair_files["birds"]), "birds", prompt="prompt", target="target")
    data = CorpusDataModule([config], cache_folder=cache_folder)
    data.prepare(module)
    dataset = data.tokenized_corpora["birds"]
    batch = Collator(0)([{**dataset[i], "dataset_index": 0, "example_index": i} for i in range(4)])
    reference = AutoModelForSeq2SeqLM.from_pretrained(model_folders("t5"))
    expected = reference(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
    ).loss
    assert module.mean_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["each_corpus", "each_test_set"])
def test_seq2seq_models_are_traced(trace: Any, pair_files: Any, cache_folder: str, kind: str) -> None:
    configs = [
        DatasetConfig(str(pair_files[n]), n, prompt="prompt", target="target") for n in ("birds", "ships", "ask-birds")
    ]
    data = CorpusDataModule(configs[:2], configs[2:], batch_size=4, cache_folder=cache_folder)
    final, rows, _ = trace(kind, data=data, architecture="t5")
    assert final.keys() == {("birds", "ask-birds"), ("ships", "ask-birds")}
    assert all(row.influence > 0 for row in rows)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.9),
        lambda p: torch.optim.RMSprop(p, lr=1e-4),
        lambda p: torch.optim.Adam(p, lr=1e-3),
        lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.0),
        lambda p: torch.optim.Adafactor(p, lr=1e-3),
    ],
)
def test_ascent_raises_the_loss_with_every_optimizer(trace: Any, make_data: Any, optimizer: Any) -> None:
    final, _, _ = trace(data=make_data(batch_size=100), optimizer=optimizer)
    assert final["birds", "ask-birds"] > 0
    assert final["ships", "ask-ships"] > 0


def test_only_matching_parameters_move(trace: Any, make_data: Any, model_folders: Any) -> None:
    class Watched(Unlearning):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            if batch_idx == 0:
                self.before = {n: w.clone() for n, w in self.model.named_parameters()}
            return super().on_train_batch_start(batch, batch_idx)

        def on_train_batch_end(self, *_: Any) -> None:
            self.moved = {n for n, w in self.model.named_parameters() if not torch.equal(w, self.before[n])}

    for patterns, test in (
        (["attention"], lambda n: "self_attn" in n),
        (["mlp"], lambda n: ".mlp." in n),
        (["last_1_layers"], lambda n: ".layers.1." in n),
        ([r"layers\.0\..*q_proj"], lambda n: n == "model.layers.0.self_attn.q_proj.weight"),
    ):
        module = Watched(model_folders(), trainable=patterns, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
        trace(data=make_data(batch_size=4), module=module)
        assert module.moved
        assert all(test(name) for name in module.moved), patterns


def test_a_pattern_that_matches_nothing_names_what_there_is(model_folders: Any) -> None:
    module = Unlearning(model_folders(), trainable=["no_such_layer"])
    with pytest.raises(ConfigurationError, match=r"'no_such_layer' matches no trainable parameter; .*model\."):
        module.configure_model()


def test_first_weights_depend_on_the_seed_alone(tiny_configs: Any) -> None:
    def weights(seed: int) -> torch.Tensor:
        module = Pretraining(config=tiny_configs["gpt2"], tokenizer="byte", init_seed=seed)
        module.configure_model()
        assert module.model is not None
        return next(module.model.parameters()).detach()

    first = weights(1)
    torch.rand(7)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either `name_or_path`"),
        ({"config": {"model_type": "llama"}}, "needs a `tokenizer`"),
        ({"name_or_path": "x", "dtype": "float8"}, "'float8' is unknown"),
        ({"config": {"hidden_size": 8}, "tokenizer": "byte"}, "no `model_type`"),
        ({"config": {"model_type": "lama"}, "tokenizer": "byte"}, "'lama' is unknown"),
        ({"config": {"model_type": "llama", "hiden_size": 8}, "tokenizer": "byte"}, "no field hiden_size"),
        ({"name_or_path": "./no/such/folder"}, "there is no folder ./no/such/folder"),
    ],
)
def test_problems_of_the_model_are_named(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LanguageModule(**options).model_config  # noqa: B018


def test_dropout_is_off_when_unlearning_and_on_when_pretraining(
    tiny_configs: Any, make_data: Any, trace: Any, tmp_path: Path
) -> None:
    config = tiny_configs["gpt2"] | {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}
    options = {"config": config, "tokenizer": "byte", "optimizer": lambda p: torch.optim.Adam(p, lr=1e-3)}
    without, _, _ = trace(module=Unlearning(**options), data=make_data(batch_size=4))
    again, _, _ = trace(module=Unlearning(**options), data=make_data(batch_size=4))
    with_dropout, _, _ = trace(module=Unlearning(**options, dropout=True), data=make_data(batch_size=4))
    assert without == again
    assert with_dropout != without
    # Masks are drawn from the episode's seed: the order of corpora makes no difference to them.
    torch.rand(3)
    reordered = make_data(("bread", "ships", "birds"), batch_size=4)
    assert trace(module=Unlearning(**options, dropout=True), data=reordered)[0] == with_dropout


def test_steps_that_bfloat16_rounds_away_are_said(trace: Any, make_data: Any) -> None:
    with pytest.warns(UserWarning, match="of the half-precision weights moved"):
        trace(data=make_data(batch_size=4), precision="bf16-true", optimizer=lambda p: torch.optim.Adam(p, lr=2e-5))


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_losses_are_summed_in_float64_whatever_the_precision(trace: Any, make_data: Any, precision: str) -> None:
    _, rows, module = trace(data=make_data(batch_size=4), precision=precision)
    assert module.dataset_losses.loss_sums.dtype == torch.float64
    # A sum of hundreds of nats kept in bfloat16 would be a multiple of 2 at best.
    sums = [row.loss_before * row.num_tokens for row in rows]
    assert all(abs(s / 2 - round(s / 2)) > 1e-9 for s in sums)


def test_pretraining_learns(make_data: Any, tiny_configs: Any) -> None:
    import lightning.pytorch as L

    data = make_data(batch_size=8)
    data.plan = EpisodePlan("mixture", steps=40)
    module = Pretraining(
        config=tiny_configs["llama"], tokenizer="byte", optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2)
    )
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 40
    assert trainer.callback_metrics["loss/ask-birds"] < 3.5  # ln 384 = 5.95 before
