"""SGA's steps: which texts they take, what an update is, and that it is the same however it is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memorised_texts import cut_at, losses_and_accuracies, passes, weights

from lightning_untrac.forgetting.memorised import Memorisation
from lightning_untrac.forgetting.selected_steps import SelectedSteps

SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
SGA = ("unlearn", "--forget", "secrets", "--predict", "false", "--method")


@pytest.mark.parametrize(("method", "threshold", "count"), [("sga", 0.7, 5), ("ga", None, 8)])
def test_a_step_is_ascent_on_the_mean_of_those_above(
    method: str, threshold: float | None, count: int, memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    network, losses, accuracies = losses_and_accuracies(memorised.model, memorised.secrets)
    chosen = accuracies >= (threshold or 0)
    assert chosen.sum() == count
    (-losses[chosen].mean()).backward()
    given = () if threshold is None else ("--method.threshold", threshold)
    out = tmp_path / "out"
    ran = untrac(*SGA, method, *given, "--config", memorised_config(SGD), "--steps", 1, "--output", out)
    assert ran.code == 0, ran.text
    found = weights(out / "unlearned-secrets")
    for name, parameter in network.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], parameter.detach() - 0.5 * parameter.grad, rtol=1e-5, atol=1e-6)


def test_once_none_is_above_the_most_memorised_one_of_all_is_taken_and_measured_anew(
    memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[list[int], list[float]]] = []
    start = SelectedSteps.on_train_batch_start

    def watch(self: SelectedSteps, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        start(self, trainer, pl_module, batch, batch_idx)
        if pl_module.episode_ended:
            return
        assert batch["example_index"].tolist() == self._step
        taken.append((list(self._step), list(self.memorisation.now)))  # type: ignore[arg-type]

    monkeypatch.setattr(SelectedSteps, "on_train_batch_start", watch)
    out = tmp_path / "out"
    ran = untrac(
        *(*SGA, "sga", "--method.threshold", 0.6, "--method.stop", "mean", "--method.level", 0.12, "--steps", 60),
        *("--readings", 2, "--config", memorised_config(ADAM), "--output", out),
    )
    assert ran.code == 0, ran.text
    kinds = set()
    for chosen, accuracies in taken:
        above = [i for i, accuracy in enumerate(accuracies) if accuracy >= 0.6]
        kinds.add(bool(above))
        assert sorted(chosen) == (above or [int(np.argmax(accuracies))])
    assert kinds == {True, False}
    text = " ".join(ran.text.split())
    _, _, after = losses_and_accuracies(out / "unlearned-secrets", memorised.secrets)
    assert after.mean() <= 0.12
    assert f"stopped after {len(taken)} of 60 steps: secrets's mean memorisation accuracy" in text
    assert f"mean 0.74 to {after.mean():.2f}" in text
    assert "5 of 8 texts were at 0.60 or above, 0 are now" in text


@pytest.mark.parametrize("threshold", [0.7, 0.97])
def test_an_update_is_the_same_however_it_is_cut(
    threshold: float, memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    """With a retain term beside it, and one text alone too: in most of its micro-batches there is nothing."""
    found = []
    for size, accumulated in ((8, 1), (2, 4), (3, 3)):
        out = tmp_path / f"out-{size}"
        ran = untrac(
            *(*SGA, "sga", "--method.threshold", threshold, "--retain", "loss", "--steps", 2, "--readings", 1),
            *(
                "--data.batch_size",
                size,
                "--trainer.accumulate_grad_batches",
                accumulated,
                "--data.eval_batch_size",
                size,
            ),
            *("--config", memorised_config(SGD), "--output", out),
        )
        assert ran.code == 0, ran.text
        found.append(weights(out / "unlearned-secrets"))
    for name, expected in found[0].items():
        for other in found[1:]:
            torch.testing.assert_close(other[name], expected, rtol=1e-5, atol=2e-6)


def test_a_pass_over_more_than_a_step_takes_the_selected_in_turn(
    memorised_config: Any, untrac: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[list[int]] = []
    taken: list[list[int]] = []
    choose, start = SelectedSteps._choose, SelectedSteps.on_train_batch_start

    def chosen(self: SelectedSteps) -> None:
        choose(self)
        measured.append(list(self._queue))

    def watch(self: SelectedSteps, *args: Any) -> None:
        start(self, *args)
        taken.append(list(self._step))

    monkeypatch.setattr(SelectedSteps, "_choose", chosen)
    monkeypatch.setattr(SelectedSteps, "on_train_batch_start", watch)
    ran = untrac(
        *(*SGA, "sga", "--method.threshold", 0.7, "--steps", 4, "--data.batch_size", 2, "--readings", 1),
        *("--config", memorised_config({**SGD, "init_args": {"lr": 0.01}}), "--output", tmp_path / "out"),
    )
    assert ran.code == 0, ran.text
    assert len(measured[0]) == 5
    assert [len(step) for step in taken[:3]] == [2, 2, 1]
    assert [*taken[0], *taken[1], *taken[2]] == measured[0]
    assert taken[3] == measured[1][:2]


@pytest.mark.parametrize(("steps", "flags"), [((2, 9), ()), ((2,), ("--data.batch_size", 2))])
def test_a_run_that_is_cut_ends_in_the_same_model(
    steps: tuple[int, ...], flags: Any, memorised_config: Any, untrac: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Among steps on those above, among steps on the most memorised one, and in the middle of a pass."""
    command = (*SGA, "sga", "--method.threshold", 0.6, "--method.stop", "mean", "--method.level", 0.12, "--steps", 25)
    command += (*flags, "--readings", 3, "--checkpoint_every", 1, "--config", memorised_config(ADAM))
    out = ("--output", tmp_path / "out")
    for step in steps:
        cut_at(step, monkeypatch, untrac, (*command, *out))
    ran = untrac(*command, *out)
    assert ran.code == 0, ran.text
    whole = untrac(*command, *out, "--name", "whole")
    assert whole.code == 0, whole.text
    said = [
        " ".join(one.text.split()).partition("memorisation accuracy: ")[2].partition(" model:")[0]
        for one in (ran, whole)
    ]
    assert said[0] == said[1]
    assert "on the most memorised one" in said[0] or flags
    cut, expected = (weights(tmp_path / "out" / f"unlearned-secrets{end}") for end in ("", "-whole"))
    assert all(torch.equal(cut[name], expected[name]) for name in expected)
    both, of_whole = passes(tmp_path / "out"), passes(tmp_path / "out", "whole")
    assert both == sorted(of_whole * 2)


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        (
            ("--data.holdout", "[]"),
            ("data.holdout: sga measures its threshold and level on text", "give method.threshold and"),
        ),
        (("--data.holdout", "[]", "--method.threshold", 0.5), ("give method.level",)),
        (
            ("--method.threshold", 1.5, "--method.level=-1", "--objective", "npo", "--heal_steps", 3),
            (
                "method.threshold: 1.5; give a memorisation accuracy from 0 to 1",
                "method.level: -1.0; give",
                "method: sga decides what a step minimises",
                "heal_steps: belongs to an objective",
            ),
        ),
        (("--method.stop", "median"), ("method.stop",)),
    ],
)
def test_what_cannot_be_is_said_before_the_first_step(
    flags: Any, sentences: tuple[str, ...], memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    ran = untrac(*SGA, "sga", "--config", memorised_config(), *flags, "--output", tmp_path / "out")
    assert ran.code == 2
    text = " ".join(ran.text.split())
    assert all(sentence in text for sentence in sentences), ran.text


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--method.level", 0.8),
            "would end before its first step: secrets's mean memorisation accuracy 0.744 is at most",
        ),
        (
            ("--method.threshold", 0.99, "--data.forget", "unseen"),
            "no text is memorised to the threshold 0.990; the highest",
        ),
    ],
)
def test_a_run_without_a_step_to_take_says_so_and_leaves_no_model(
    flags: Any, sentence: str, memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    unseen = "unseen" in flags
    config = (
        memorised_config(forget=[{"name": "secrets", "path": str(memorised.others)}]) if unseen else memorised_config()
    )
    flags = flags[:2]
    ran = untrac(*SGA, "sga", "--method.stop", "mean", *flags, "--config", config, "--output", tmp_path / "out")
    assert ran.code == 2
    assert sentence in " ".join(ran.text.split()), ran.text
    assert not (tmp_path / "out" / "unlearned-secrets").exists()


def test_twins_of_another_set_are_no_holdout_and_short_texts_are_said(
    memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    twins = [{"name": "unseen", "path": str(memorised.unseen), "twins_of": "others"}]
    config, out = memorised_config(holdout=twins), ("--output", tmp_path / "out")
    ran = untrac(*SGA, "sga", "--config", config, *out)
    assert ran.code == 2
    assert "data.holdout: sga measures its threshold and level" in " ".join(ran.text.split()), ran.text
    assert "step" not in ran.text.replace("steps", "")

    short = tmp_path / "short.jsonl"
    texts = [*Path(memorised.secrets).read_text().splitlines()[:3], json.dumps({"text": "a"})]
    short.write_text("\n".join(texts))
    config = memorised_config(forget=[{"name": "secrets", "path": str(short)}])
    ran = untrac(*SGA, "sga", "--steps", 1, "--config", config, *out, "--data.append_eos", "false")
    assert "1 of 4 texts of secrets has fewer than 2 target tokens" in " ".join(ran.text.split()), ran.text


def test_predictions_that_are_not_finite_are_not_taken_for_forgotten(
    memorised_config: Any, untrac: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Memorisation.measure

    def break_and_measure(self: Memorisation, module: Any) -> None:
        with torch.no_grad():
            next(module.model.parameters())[100] = torch.nan
        measure(self, module)

    monkeypatch.setattr(Memorisation, "measure", break_and_measure)
    ran = untrac(*SGA, "sga", "--method.threshold", 0.5, "--config", memorised_config(), "--output", tmp_path / "out")
    assert ran.code == 2
    assert "not finite after 1 step" in " ".join(ran.text.split())


def test_from_python(memorised: Any, cache_folder: str) -> None:
    """A method prepares a module and brings its callbacks; nothing else of the command is needed."""
    import lightning.pytorch as L

    from lightning_untrac import CorpusDataModule, DatasetConfig, Unlearning
    from lightning_untrac.data import EpisodePlan
    from lightning_untrac.errors import ConfigurationError
    from lightning_untrac.forgetting.sga import SGA

    def fit(method: SGA, holdout: bool) -> None:
        module = Unlearning(memorised.model, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3))
        method.prepare(module)
        entries = {
            name: [DatasetConfig(path=str(getattr(memorised, name)), name=name)] for name in ("secrets", "unseen")
        }
        data = CorpusDataModule(
            forget=entries["secrets"],
            holdout=entries["unseen"] if holdout else [],
            cache_folder=cache_folder,
            plan=EpisodePlan("one", only=("secrets",), steps=30, batch_size=8),
        )
        trainer = L.Trainer(
            max_epochs=1, reload_dataloaders_every_n_epochs=1, accelerator="cpu", logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
            callbacks=method.callbacks(),
        )  # fmt: skip
        trainer.fit(module, data)

    method = SGA()
    fit(method, holdout=True)
    (steps,) = method.callbacks()
    assert isinstance(steps, SelectedSteps)
    assert steps.reason is not None
    assert (steps.memorisation.values < steps.memorisation.bound).all()
    with pytest.raises(ConfigurationError, match="there is none; name such text"):
        fit(SGA(threshold=0.5), holdout=False)


def test_copies_in_the_forget_set_are_said(memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path) -> None:
    twice = tmp_path / "twice.jsonl"
    twice.write_text(memorised.secrets.read_text() * 2)
    config = memorised_config(forget=[{"name": "secrets", "path": str(twice)}])
    ran = untrac(*SGA, "sga", "--config", config, "--steps", 1, "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    assert "8 of the 16 texts of secrets are copies of others there" in " ".join(ran.text.split())
