from __future__ import annotations

import io
from typing import Any

import lightning.pytorch as L
import pytest
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.measuring_progress import MeasuringProgress
from rich.console import Console

from lightning_untrac import EpisodePlan, EpisodeProgress, Evaluation, Pretraining


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_names_phase_corpus_episode_and_steps(trace: Any, make_data: Any, terminal: bool) -> None:
    written = io.StringIO()
    progress = EpisodeProgress("untrac")
    progress._console = Console(file=written, force_terminal=terminal, width=120, legacy_windows=False)
    trace(data=make_data(batch_size=4), callbacks=(progress,), enable_progress_bar=True)
    text = written.getvalue()
    assert "untrac" in text
    assert "reading the losses at the start weights" in text
    # A bar is drawn ten times a second, so that only its last state is sure to be seen.
    assert "bread, episode 3 of 3, seed 0" in text
    if terminal:
        assert "9/9" in text
    else:
        assert "birds, episode 1 of 3, seed 0, 3 batches" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_training_shows_its_loss(make_data: Any, tiny_configs: Any, terminal: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr("lightning_untrac.callbacks.episode_progress.SECONDS_BETWEEN_LOSSES", 0.0)
    module = Pretraining(config=tiny_configs["llama"], tokenizer="byte")
    written, losses = io.StringIO(), []

    class Losses(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            losses.append(float(outputs["objective"]))

    progress = EpisodeProgress("pretrain")
    progress._console = Console(file=written, force_terminal=terminal, width=140, legacy_windows=False)
    data = make_data(batch_size=4, plan=EpisodePlan("mixture", steps=20))
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_model_summary=False, callbacks=[progress, Losses()], num_sanity_val_steps=0,
                        limit_val_batches=0, accumulate_grad_batches=1)  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert len(losses) == 20
    if terminal:
        assert f"loss {losses[-1]:.3f}" in written.getvalue()
    else:
        lines = [line for line in written.getvalue().splitlines() if ", loss " in line]
        assert lines == [f"pretrain: step {s} of 20, loss {losses[s - 1]:.3f}" for s in range(2, 21, 2)]


def test_it_can_be_turned_off(trace: Any, make_data: Any) -> None:
    written = io.StringIO()
    progress = EpisodeProgress("untrac")
    progress._console = Console(file=written)
    progress.disable()
    trace(data=make_data(batch_size=4), callbacks=(progress,), enable_progress_bar=True)
    assert written.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_measuring_names_the_model_and_counts_batches(
    make_data: Any, model_folders: Any, terminal: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr("lightning_untrac.callbacks.measuring_progress.SECONDS_BETWEEN_LINES", 0.0)
    written, progress = io.StringIO(), MeasuringProgress("evaluate")
    progress._console = Console(file=written, force_terminal=terminal, width=200, legacy_windows=False)
    data, module = make_data(("birds",), (), eval_batch_size=4), Evaluation(model_folders("llama"))
    data.plan = EpisodePlan("one")
    L.Trainer(accelerator="cpu", logger=False, callbacks=[progress]).validate(module, data, verbose=False)
    text = written.getvalue()
    assert f"evaluate: measuring {model_folders('llama')} on 1 dataset" in text
    assert ("3/3" if terminal else "evaluate: batch 3 of 3") in text
