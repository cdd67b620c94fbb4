"""One episode fails; the others go on where the user allowed it."""

from __future__ import annotations

import errno
import shutil

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import Unlearning
from lightning_untrac.attribution import METHODS, EpisodeRun
from lightning_untrac.attribution.failures import EpisodeWarning, FailedEpisodesError
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.tables import InfluenceStore, equal_tables


class Fails(Callback):
    """Raises in the second step of the episodes over one corpus."""

    def __init__(self, error, corpus="ships"):
        self.error, self.corpus = error, corpus

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.error is not None and trainer.datamodule.current_episode.dataset == self.corpus and batch_idx == 1:
            raise self.error


@pytest.fixture
def episodes(make_data, model_folders, tmp_path):
    def make(error=None, folder="out", method="untrac", lr=1e-3, **options):
        def trainer(callbacks, **arguments):
            return L.Trainer(
                callbacks=[*callbacks, Fails(error)],
                accelerator="cpu",
                enable_model_summary=False,
                **{**arguments, "logger": False},
            )

        def module():
            return Unlearning(model_folders("llama"), optimizer=lambda p: torch.optim.Adam(p, lr=lr))

        data = make_data(batch_size=4)
        data.prepare(module())
        return EpisodeRun(
            METHODS[method](), tmp_path / folder, module, trainer, lambda name: [], data, steps=3, readings=1, **options
        )

    return make


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), "Lower data.batch_size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "Lower data.batch_size"),
        (RuntimeError("DataLoader worker (pid 71) is killed by signal: Killed. "), "data.num_workers to 0"),
        (ValueError("something else\nwith details"), None),
    ],
)
def test_the_others_go_on(episodes, tmp_path, error, hint):
    with (
        pytest.warns(EpisodeWarning, match=r"'ships' \(seed \d\) failed"),
        pytest.raises(FailedEpisodesError) as raised,
    ):
        episodes(error, seeds=(0, 1), keep_going=True).run()
    said = str(raised.value)
    first_line = str(error).splitlines()[0].strip()
    assert said.startswith("2 episodes failed:")
    assert f"  - ships (seed 1): {first_line}" in said
    assert "with details" not in said
    assert hint is None or hint in said
    store = InfluenceStore(tmp_path / "out")
    assert store.finished_episodes("untrac") == {(corpus, seed) for corpus in ("birds", "bread") for seed in (0, 1)}
    # The same command with the fault mended: as if there had been none.
    episodes(seeds=(0, 1), keep_going=True).run()
    episodes(folder="whole", seeds=(0, 1)).run()
    assert equal_tables(store.table(), InfluenceStore(tmp_path / "whole").table())


def test_without_it_the_run_stops(episodes, tmp_path):
    with pytest.raises(RuntimeError, match="boom"):
        episodes(RuntimeError("boom")).run()
    assert InfluenceStore(tmp_path / "out").finished_episodes("untrac") == {("birds", 0)}


@pytest.mark.parametrize(
    "error", [ConfigurationError(["a setting"]), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_what_would_meet_every_episode_stops(episodes, tmp_path, error):
    with pytest.raises((type(error), SystemExit)):
        episodes(error, keep_going=True).run()
    assert InfluenceStore(tmp_path / "out").finished_episodes("untrac") == {("birds", 0)}


@pytest.mark.parametrize("keep_going", [False, True])
def test_an_episode_that_moved_nothing_leaves_no_rows(episodes, tmp_path, keep_going, recwarn):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EpisodeWarning)
        with pytest.raises((UnlearningError, FailedEpisodesError), match="moved no weight"):
            episodes(lr=0.0, keep_going=keep_going).run()
    assert InfluenceStore(tmp_path / "out").rows() == []


def test_several_ranks_are_refused(episodes):
    run = episodes(keep_going=True)
    build = run.build_trainer
    run.build_trainer = lambda **arguments: build(**arguments, devices=2, strategy="ddp")
    with pytest.raises(ConfigurationError, match="keep_going: works on one device, and there are 2 ranks"):
        run.run()


def test_examples_belong_to_a_finished_episode(episodes, tmp_path):
    run = episodes(method="untrac_inv", per_example=True)
    run.data.per_example = True
    run.run()
    store = InfluenceStore(tmp_path / "out")
    whole = store.table(), store.examples()
    shutil.rmtree(tmp_path / "out" / "episodes" / "examples")
    store.examples_path.unlink()
    assert len(store.finished_episodes("untrac_inv", "test_set")) == 2
    assert store.finished_episodes("untrac_inv", "test_set", examples=True) == set()
    run.run()
    assert equal_tables(store.table(), whole[0])
    assert equal_tables(store.examples(), whole[1])
