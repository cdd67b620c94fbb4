from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_untrac import EpisodePlan, InfluenceLogger, PreUnlearningWeights, ReadingSchedule, Unlearning
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.tables import InfluenceStore, equal_tables


class Spy(Callback):
    """Copies the weights and the optimizer's state at the first batch of each episode."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.optimizer_states: list[int] = []
        self.learning_rates: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.weights.append({n: t.clone() for n, t in pl_module.model.state_dict().items()})
            self.optimizer_states.append(len(trainer.optimizers[0].state))
            self.learning_rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt"])
def test_every_episode_starts_from_the_same_bits(trace: Any, architecture: str) -> None:
    spy = Spy()
    _, _, module = trace(architecture=architecture, callbacks=(spy,))
    assert len(spy.weights) == 3
    for weights in [*spy.weights[1:], module.model.state_dict()]:
        assert all(torch.equal(weights[name], kept) for name, kept in spy.weights[0].items())


def test_every_episode_starts_with_a_fresh_optimizer_and_schedule(trace: Any) -> None:
    spy = Spy()
    schedule = lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)  # noqa: E731
    trace(callbacks=(spy,), module_options={"lr_scheduler": schedule})
    assert spy.optimizer_states == [0, 0, 0]
    assert spy.learning_rates == [1e-3, 1e-3, 1e-3]


def test_gradients_of_an_unfinished_accumulation_do_not_leak(trace: Any, make_data: Any) -> None:
    """An episode that the guard ends between two micro-batches leaves gradients behind."""

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.current_epoch == 0 and batch_idx == 2:
                pl_module.end_episode("collapsed")

    options = {"accumulate_grad_batches": 2, "steps": 2}
    stopped, _, _ = trace(data=make_data(batch_size=2), callbacks=(Stop(),), **options)
    whole, _, _ = trace(data=make_data(batch_size=2), **options)
    assert stopped["birds", "ask-birds"] != whole["birds", "ask-birds"]
    assert {k: v for k, v in stopped.items() if k[0] != "birds"} == {k: v for k, v in whole.items() if k[0] != "birds"}


def test_an_episode_in_which_nothing_moves_is_an_error(trace: Any) -> None:
    with pytest.raises(UnlearningError, match="episode 1 moved no weight at all"):
        trace(optimizer=lambda p: torch.optim.SGD(p, lr=0.0))


def test_weights_that_were_not_restored_are_an_error(trace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: Any, trainer: Any, pl_module: Any) -> None:
        pass

    monkeypatch.setattr(PreUnlearningWeights, "restore", forgets)
    with pytest.raises(UnlearningError, match="differ from the pre-unlearning weights"):
        trace()


def test_with_lora_only_adapters_are_kept_and_moved(trace: Any) -> None:
    pytest.importorskip("peft")
    kept: dict[str, torch.Tensor] = {}

    class Look(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            kept.update(trainer.callbacks[0]._kept)  # type: ignore[attr-defined]

    lora = {"r": 2, "target_modules": ["q_proj", "v_proj"]}
    final, _, module = trace(callbacks=(Look(),), module_options={"lora": lora})
    trainable = {name for name, p in module.model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    buffers = {name for name, _ in module.model.named_buffers()}
    assert kept.keys() == trainable | buffers
    assert any(value != 0 for value in final.values())


# -- resuming a Lightning checkpoint -----------------------------------------------------------------------------------


class KilledError(Exception):
    pass


class KillInEpisode(Callback):
    def __init__(self, episode: int, batch: int) -> None:
        self.episode, self.batch = episode, batch

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.episode and batch_idx == self.batch:
            raise KilledError


def fit(make_data: Any, model: str, folder: Path | None, checkpoints: Path, ckpt_path: str | None = None,
        extra: tuple[Callback, ...] = ()) -> Any:  # fmt: skip
    data = make_data(batch_size=4)
    data.plan = EpisodePlan("each_corpus", steps=4)
    influence = InfluenceLogger(checkpoints)
    trainer = L.Trainer(
        max_epochs=3,
        reload_dataloaders_every_n_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            PreUnlearningWeights(folder=folder),
            ReadingSchedule(2),
            influence,
            ModelCheckpoint(checkpoints, save_last=True, save_top_k=0, every_n_train_steps=1),
            *extra,
        ],
    )
    module = Unlearning(
        model,
        optimizer=lambda p: torch.optim.Adam(p, lr=1e-3),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return InfluenceStore(checkpoints).table()


@pytest.mark.parametrize(("episode", "batch"), [(0, 1), (1, 2), (2, 3)])
def test_a_killed_fit_resumed_from_its_checkpoint_gives_the_same_rows(
    make_data: Any, model_folders: Any, tmp_path: Path, episode: int, batch: int
) -> None:
    model = model_folders()
    whole = fit(make_data, model, tmp_path / "whole", tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(make_data, model, tmp_path / "theta", tmp_path / "ckpt", extra=(KillInEpisode(episode, batch),))
    resumed = fit(make_data, model, tmp_path / "theta", tmp_path / "ckpt", str(tmp_path / "ckpt" / "last.ckpt"))
    assert equal_tables(resumed, whole)
    assert resumed.num_rows == 3 * 2 * 2  # corpora, test sets, readings


def test_resuming_without_kept_weights_is_refused(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        fit(make_data, model_folders(), None, tmp_path, extra=(KillInEpisode(1, 1),))
    with pytest.raises(ConfigurationError, match="not the pre-unlearning weights"):
        fit(make_data, model_folders(), None, tmp_path, str(tmp_path / "last.ckpt"))


def test_damaged_kept_weights_are_noticed(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        fit(make_data, model_folders(), tmp_path / "theta", tmp_path, extra=(KillInEpisode(1, 1),))
    path = next((tmp_path / "theta").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged"):
        fit(make_data, model_folders(), tmp_path / "theta", tmp_path, str(tmp_path / "last.ckpt"))
