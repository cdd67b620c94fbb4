"""What may change between two runs in one folder, and what makes them another experiment."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from lightning_untrac.runs.identity import comparable
from lightning_untrac.tables import InfluenceStore

TRACE = ("--steps", "2", "--readings", "1", "--output")
SLOWER = '[{"class_path": "lightning.pytorch.callbacks.StochasticWeightAveraging", "init_args": {"swa_lrs": 0.1}}]'
WATCHING = '[{"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}]'


def test_a_callback_that_may_change_what_comes_out_is_another_experiment():
    def kept(*names):
        return comparable({"trainer": {"callbacks": [{"class_path": name} for name in names]}})["trainer"]["callbacks"]

    assert kept("lightning.pytorch.callbacks.LearningRateMonitor") is None
    assert kept("mine.LearningRateMonitor") == [{"class_path": "mine.LearningRateMonitor"}]
    assert len(kept("lightning.pytorch.callbacks.LearningRateMonitor", "mine.Schedule")) == 1


def test_callbacks_in_a_folder_with_results(untrac, config, tmp_path):
    trace = ("trace", "--method", "untrac", "--config", config(), *TRACE, tmp_path / "out")
    assert untrac(*trace).code == 0
    more = ("--seeds", "[0,1]", "--trainer.callbacks")
    refused = untrac(*trace, *more, SLOWER)
    assert refused.code == 2
    assert "trainer.callbacks.0.class_path" in refused.text
    ran = untrac(*trace, *more, WATCHING)
    assert ran.code == 0, ran.text


def test_a_claim_without_a_reading_is_nobodys(untrac, config, tmp_path):
    output = tmp_path / "out"
    assert untrac("trace", "--method", "untrac", "--config", config(), *TRACE, output).code == 0
    shutil.rmtree(output / "episodes")
    (output / "influence.parquet").unlink()
    ran = untrac("trace", "--method", "untrac", "--config", config(), "--steps", "3", "--output", output)
    assert ran.code == 0, ran.text


@pytest.mark.parametrize(("architecture", "allowed"), [("llama", True), ("gpt2", False)])
def test_how_a_batch_is_cut_counts_with_dropout_alone(
    untrac, config, tiny_configs, tmp_path, architecture, allowed, recipe_content
):
    start = {**recipe_content["model"], "config": tiny_configs[architecture]}
    options = ("--output", tmp_path / "out", "--steps", "4")
    assert untrac("pretrain", "--config", config(model=start), *options, "--data.batch_size", "4").code == 0
    other = ("--data.batch_size", "2", "--trainer.accumulate_grad_batches", "2")
    again = untrac("pretrain", "--config", config(model=start), *options, *other)
    if allowed:
        assert again.code == 0, again.text
        assert "finished already" in again.text
    else:
        assert again.code == 2
        assert "batch_cut: '4 x 1 accumulated x 1 ranks' there, '2 x 2 accumulated x 1 ranks' now" in again.text


def test_a_checkpoint_of_another_cut_is_refused(untrac, config, recipe_content, tmp_path):
    output = tmp_path / "out"
    train = ("pretrain", "--config", config(model=recipe_content["model"]), "--output", output, "--steps", "6")
    whole = (*train, "--checkpoint_every", "2", "--data.batch_size", "4")
    assert untrac(*whole).code == 0
    weights = (output / "model" / "model.safetensors").read_bytes()
    (output / ".untrac" / "pretrain.done.json").unlink()
    shutil.rmtree(output / "model")
    other = untrac(*train, "--data.batch_size", "2", "--trainer.accumulate_grad_batches", "2")
    assert other.code == 2
    assert "was made with batches of 4 x 1 accumulated x 1 ranks, and these are 2 x 2" in other.text
    assert untrac(*whole).code == 0
    assert (output / "model" / "model.safetensors").read_bytes() == weights


def test_examples_that_are_gone_are_computed_anew(untrac, config, tmp_path):
    trace = ("trace", "--config", config(), "--method", "untrac_inv", "--examples", *TRACE, tmp_path / "out")
    assert untrac(*trace).code == 0
    before = InfluenceStore(tmp_path / "out").examples()
    shutil.rmtree(tmp_path / "out" / "episodes" / "examples")
    (tmp_path / "out" / "examples.parquet").unlink()
    ran = untrac(*trace)
    assert ran.code == 0, ran.text
    assert InfluenceStore(tmp_path / "out").examples().equals(before)


def test_a_variable_of_a_scheduler_makes_no_rank(untrac, config, tmp_path, monkeypatch):
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)  # what Lightning reads from SLURM_PROCID=1 when it is imported
    ran = untrac("trace", "--method", "untrac", "--config", config(), *TRACE, tmp_path / "out")
    assert ran.code == 0
    assert "strongest of its column" in ran.text
    assert (tmp_path / "out" / ".untrac" / "trace-untrac.done.json").is_file()


def test_influences_of_weights_that_came_back_wrong_are_not_kept(untrac, config, tmp_path, monkeypatch):
    from lightning_untrac.callbacks import PreUnlearningWeights

    trace = ("trace", "--method", "untrac", "--config", config(), *TRACE, tmp_path / "out")
    ended = PreUnlearningWeights.on_train_end

    def with_another_checksum(self, trainer, module):
        self.checksum = "another"
        ended(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(PreUnlearningWeights, "on_train_end", with_another_checksum)
        wrong = untrac(*trace)
    assert wrong.code == 2
    assert "can't be trusted" in wrong.text
    assert InfluenceStore(tmp_path / "out").finished_episodes("untrac") == set()
    assert untrac(*trace).code == 0
    assert len(InfluenceStore(tmp_path / "out").finished_episodes("untrac")) == 3


def test_a_collapse_is_remembered_by_a_checkpoint(untrac, config, tmp_path):
    model = {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 30.0}}}
    path = config()
    content = yaml.safe_load(path.read_text())
    content["model"] |= model
    path.write_text(yaml.safe_dump(content))
    command = ("unlearn", "--config", path, "--forget", "birds", "--steps", "12", "--checkpoint_every", "1", "--output")
    first = untrac(*command, tmp_path / "out")
    assert first.code == 0, first.text
    assert "collapsed" in first.text or "nonfinite" in first.text
    weights = (tmp_path / "out" / "unlearned-birds" / "model.safetensors").read_bytes()
    (tmp_path / "out" / ".untrac" / "unlearn-birds.done.json").unlink()
    shutil.rmtree(tmp_path / "out" / "unlearned-birds")
    again = untrac(*command, tmp_path / "out")
    assert again.code == 0, again.text
    assert (tmp_path / "out" / "unlearned-birds" / "model.safetensors").read_bytes() == weights


def test_a_holdout_or_a_forget_set_makes_a_trace_no_other_run(untrac, config, settings, text_files, tmp_path):
    """They are added after a trace, to unlearn; of `unlearn`, which measures them, they are a part."""
    more = {
        "forget": [{"name": "mine", "path": str(text_files["ask-birds"])}],
        "holdout": [{"name": "unseen", "path": str(text_files["bread"])}],
    }
    corpora = {"corpora": settings["data"]["corpora"][:2]}
    without, with_both = (config(data={**settings["data"], **corpora, **lists}) for lists in ({}, more))
    trace = ("trace", "--method", "untrac", "--steps", "1", "--readings", "1", "--output", tmp_path / "out")
    assert untrac(*trace, "--config", without).code == 0
    again = untrac(*trace, "--config", with_both)
    assert again.code == 0, again.text
    assert "birds, episode" not in again.text
    for name in ("trace-untrac.claim.json", "trace-untrac.done.json"):  # as versions before wrote them
        path = tmp_path / "out" / ".untrac" / name
        unread = {"data.holdout.0.name": "unseen", "data.holdout.0.path": "x", "data_content.unseen": "1f"}
        path.write_text(json.dumps({**json.loads(path.read_text()), **unread}))
    for shown in (without, with_both):
        assert "finished already" in untrac(*trace, "--config", shown).text
    unlearn = ("unlearn", "--forget", "birds", "--steps", "1", "--readings", "1", "--output", tmp_path / "out")
    assert untrac(*unlearn, "--config", without).code == 0
    other = untrac(*unlearn, "--config", with_both)
    assert (other.code, "data.holdout.0.name" in other.text or "data.forget.0.name" in other.text) == (2, True)
