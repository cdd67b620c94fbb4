from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import processes
import pytest
import torch
import yaml
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder

from lightning_untrac import DatasetConfig, EpisodePlan, Evaluation, ReadingSchedule, Unlearning
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.metrics import Measure, Measured, Outputs
from lightning_untrac.tables import equal_tables, read_measurements, read_summary

BOTH = "loss,memorisation_accuracy"
NEAR = {"memorisation_accuracy": 0.1}  # one first choice of some dozen tokens may turn over by rounding


def summary_of(folder: Path, statistic: str = "mean") -> dict[Any, dict[str, Any]]:
    rows = [row for row in read_summary(folder).to_pylist() if row["statistic"] == statistic]
    return {(row["measure"], row["dataset"], row["forget_set"], row["step"]): row for row in rows}


def test_an_episode_leaves_its_trajectory_and_each_example_before_and_after(
    trace: Any, make_data: Any, tmp_path: Path
) -> None:
    data = make_data(("birds", "ships"), ("ask-birds",), batch_size=4, eval_batch_size=3)
    recorder = MeasureRecorder(tmp_path, BOTH, method="mine", model="start", result="end")
    _, rows, _ = trace(data=data, callbacks=(recorder,), steps=4, readings=2)
    found = summary_of(tmp_path)
    assert {key[2:] for key in found} == {(name, step) for name in ("birds", "ships") for step in (0, 2, 4)}
    assert {key[0] for key in found} == {"loss", "memorisation_accuracy"}
    for row in rows:  # what tracing measures is the same, to rounding
        mean = found["loss", row.test_set, row.corpus, row.step]
        assert mean["value"] == pytest.approx(row.loss_after, rel=1e-13)
        assert mean["ci_low"] < mean["value"] < mean["ci_high"]
        assert (mean["model"], mean["method"], mean["seed"], mean["status"]) == ("end", "mine", 0, row.status)
        assert found["loss", row.test_set, row.corpus, 0]["value"] == pytest.approx(row.loss_before, rel=1e-13)
        assert found["loss", row.test_set, row.corpus, 0]["model"] == "start"
    examples = read_measurements(tmp_path).to_pylist()
    assert {(row["forget_set"], row["step"]) for row in examples} == {
        (n, s) for n in ("birds", "ships") for s in (0, 4)
    }
    for (measure, dataset, forget_set, step), mean in found.items():
        state = {"measure": measure, "dataset": dataset, "forget_set": forget_set, "step": step}
        mine = [row for row in examples if all(row[column] == value for column, value in state.items())]
        if step != 2:
            assert [row["example"] for row in mine] == list(range(len(mine)))
            total = math.fsum(row["value"] * row["weight"] for row in mine)
            assert total / sum(row["weight"] for row in mine) == pytest.approx(mean["value"], rel=1e-14)


def test_a_validation_leaves_the_model_as_it_is_and_another_one_beside_it(
    make_data: Any, model_folders: Any, tmp_path: Path
) -> None:
    for architecture in ("llama", "gpt2", "llama"):
        module = Evaluation(model_folders(architecture))
        data = make_data(("birds",), ())
        data.plan = EpisodePlan("one")
        data.prepare(module)
        options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(tmp_path, BOTH)], **options)
        trainer.validate(module, datamodule=data, verbose=False)
    rows = read_measurements(tmp_path).to_pylist()
    assert {row["model"] for row in rows} == {model_folders("llama"), model_folders("gpt2")}
    assert len(rows) == 2 * 2 * 12
    assert {(row["method"], row["forget_set"], row["seed"], row["step"]) for row in rows} == {
        ("evaluate", None, None, None)
    }


def test_rows_carry_the_group_of_their_example(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    path = tmp_path / "grouped.jsonl"
    path.write_text("".join(f'{{"text": "a text {i}", "kind": "{i % 2}"}}\n' for i in range(4)))
    data, module = make_data(("birds",), ()), Evaluation(model_folders("llama"))
    data.holdout = [DatasetConfig(str(path), name="grouped", group="kind")]
    data.plan = EpisodePlan("one")
    data.prepare(module)
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(tmp_path, "loss")], **options)
    trainer.validate(module, datamodule=data, verbose=False)
    rows = [(row["dataset"], row["example"], row["group"]) for row in read_measurements(tmp_path).to_pylist()]
    assert rows[-4:] == [("grouped", 0, "0"), ("grouped", 1, "1"), ("grouped", 2, "0"), ("grouped", 3, "1")]
    assert {group for dataset, _, group in rows if dataset == "birds"} == {None}


def test_measuring_changes_no_influence(trace: Any, make_data: Any, tmp_path: Path) -> None:
    plain, _, _ = trace(data=make_data(batch_size=4), steps=2)
    measured, _, _ = trace(data=make_data(batch_size=4), steps=2, callbacks=(MeasureRecorder(tmp_path, BOTH),))
    assert measured == plain


def test_rows_of_a_collapsed_model_say_so(trace: Any, make_data: Any, tmp_path: Path) -> None:
    from lightning_untrac import CollapseGuard

    data = make_data(("birds",), ("ask-birds",), batch_size=4)
    trace(data=data, steps=6, readings=6, optimizer=lambda p: torch.optim.SGD(p, lr=50.0),
          callbacks=(CollapseGuard(), MeasureRecorder(tmp_path, BOTH)))  # fmt: skip
    rows = read_measurements(tmp_path).to_pylist()
    assert {row["status"] for row in rows if row["step"] == 0} == {"ok"}
    after = {row["status"] for row in rows if row["step"] > 0}
    assert after in ({"collapsed"}, {"nonfinite"})
    last = max(row["step"] for row in rows)
    assert {row["status"] for row in read_summary(tmp_path).to_pylist() if row["step"] == last} == after


class Broken(Evaluation):
    """A model whose weights are not finite."""

    def configure_model(self) -> None:
        super().configure_model()
        with torch.no_grad():
            next(self.model.parameters()).fill_(math.nan)  # type: ignore[union-attr]


def test_a_share_of_a_model_that_is_not_finite_does_not_look_fine(
    make_data: Any, model_folders: Any, tmp_path: Path
) -> None:
    """Of NaN logits ``argmax`` gives a token all the same."""
    module, data = Broken(model_folders("llama")), make_data(("birds",), ())
    data.plan = EpisodePlan("one")
    data.prepare(module)
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(tmp_path, BOTH)], **options)
    trainer.validate(module, datamodule=data, verbose=False)
    assert {row["status"] for row in read_measurements(tmp_path).to_pylist()} == {"nonfinite"}
    assert {row["status"] for row in read_summary(tmp_path).to_pylist()} == {"nonfinite"}


class Ends(L.Callback):
    """Ends a fit, as a machine does, after some batches."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("the machine is gone")


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_fit_that_goes_on_from_a_checkpoint_ends_with_the_same_tables(
    make_data: Any, model_folders: Any, tmp_path: Path
) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    def fit(folder: Path, end: int | None, checkpoint: Path | None) -> None:
        data = make_data(batch_size=4)
        data.plan = EpisodePlan("one", steps=6, only=("birds",))
        module = Unlearning(model_folders("llama"), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
        data.prepare(module)
        saver = ModelCheckpoint(folder / "saved", filename="{step}", every_n_train_steps=3, save_top_k=-1)
        measures = f"{BOTH},kl_to_reference,probes.LikelihoodFall"
        callbacks = [ReadingSchedule(3), MeasureRecorder(folder, measures), saver]
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            reload_dataloaders_every_n_epochs=1, callbacks=[*callbacks, *([Ends(end)] if end else [])],
        )  # fmt: skip
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)

    fit(tmp_path / "whole", None, None)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        fit(tmp_path / "cut", 5, None)
    assert {row["step"] for row in read_measurements(tmp_path / "cut").to_pylist()} == {0}
    assert {row["step"] for row in read_summary(tmp_path / "cut").to_pylist()} == {0, 2, 4}
    fit(tmp_path / "cut", None, tmp_path / "cut" / "saved" / "step=3.ckpt")
    steps = {name: set[int]() for name in ("birds", "ships")}
    for row in read_measurements(tmp_path / "cut").to_pylist():
        steps.setdefault(row["dataset"], set()).add(row["step"])
    assert (steps["birds"], steps["ships"]) == ({0, 2, 4, 6}, {0, 6})  # of the forget set every reading
    for read in (read_summary, read_measurements):
        assert equal_tables(read(tmp_path / "cut"), read(tmp_path / "whole"))


class Silent(Unlearning):
    """A user's own validation that knows nothing of measures."""

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        measured = super().validation_step(batch, batch_idx)
        return {key: measured[key] for key in ("loss_sums", "num_tokens")}


def test_what_cannot_work_is_said(trace: Any, make_data: Any, model_folders: Any) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'loss'"):
        MeasureRecorder(measures="los")
    with pytest.raises(UnlearningError, match=r"Silent.validation_step returns no `measured`"):
        trace(data=make_data(batch_size=4), module=Silent(model_folders("llama")), callbacks=(MeasureRecorder(),))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_leave_the_tables_of_one(
    strategy: str, text_files: Any, cache_folder: str, model_folders: Any, tmp_path: Path
) -> None:
    sets = {"corpora": ("birds", "ships"), "test_sets": ("ask-birds",)}
    content = {
        "model": {
            "name_or_path": model_folders("llama"),
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
        },
        "data": {
            "eval_batch_size": 2,
            "cache_folder": cache_folder,
            **{key: [{"name": n, "path": str(text_files[n])} for n in names] for key, names in sets.items()},
        },
        "trainer": {"accelerator": "cpu"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    command = ("unlearn", "--config", tmp_path / "config.yaml", "--forget", "birds", "--steps", 3, "--readings", 3)
    command += ("--objective", "ga")
    command += ("--measures", f"{BOTH},kl_to_reference,probes.HiddenShift,probes.LikelihoodFall")
    one = processes.start(*command, "--data.batch_size", 4, "--output", tmp_path / "one", log=tmp_path / "one.log")
    assert one.wait() == 0, one.text
    ranks = processes.start_ranks(
        2, *command, "--data.batch_size", 2, "--trainer.strategy", strategy, "--trainer.devices", 2,
        "--output", tmp_path / "two", log=tmp_path / "log", OMP_NUM_THREADS="1",
    )  # fmt: skip
    for rank in ranks:
        rank.wait()
    assert [rank.process.exitcode for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    moved = summary_of(tmp_path / "one")
    assert [moved["kl_to_reference", "birds", "birds", step]["value"] > 1e-3 for step in (0, 3)] == [False, True]
    for read in (read_summary, read_measurements):
        expected, found = (read(tmp_path / folder).to_pylist() for folder in ("one", "two"))
        assert len(found) == len(expected)
        for row, other in zip(expected, found, strict=True):
            assert other["value"] == pytest.approx(row["value"], abs=NEAR.get(row["measure"], 2e-5), rel=1e-4)
            assert {**other, "value": 0, "model": 0, "ci_low": 0, "ci_high": 0} == {
                **row, "value": 0, "model": 0, "ci_low": 0, "ci_high": 0,
            }  # fmt: skip


class Scalar(Measure):
    """A measure that gives one number a batch, which is a mistake."""

    name = "test_scalar"

    def __call__(self, seen: Outputs) -> Measured:
        return Measured(seen.logits.mean(), torch.ones(len(seen.logits)))


class Bare(Measure):
    """A measure that forgets the weights."""

    name = "test_bare"

    def __call__(self, seen: Outputs) -> Any:
        return seen.logits.mean(dim=(1, 2))


def test_a_measure_given_twice_is_measured_once_or_refused(trace: Any, make_data: Any, tmp_path: Path) -> None:
    assert [measure.name for measure in MeasureRecorder(measures=["loss", "loss", BOTH]).measures] == BOTH.split(",")
    one = Scalar()
    assert MeasureRecorder(measures=[one, one]).measures == [one]
    with pytest.raises(ConfigurationError, match="'test_scalar' is given twice"):
        MeasureRecorder(measures=[one, Scalar()])


@pytest.mark.parametrize("measure", [Scalar(), Bare()])
def test_a_measure_has_to_give_a_number_an_example(
    make_data: Any, model_folders: Any, tmp_path: Path, measure: Measure
) -> None:
    module, data = Evaluation(model_folders("llama")), make_data(("birds",), (), eval_batch_size=3)
    data.plan = EpisodePlan("one")
    data.prepare(module)
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(tmp_path, [measure])], **options)
    said = rf"measure '{measure.name}': its value has the shape \[\], and the batch has 3 examples; return `Measured"
    with pytest.raises(UnlearningError, match=said):
        trainer.validate(module, datamodule=data, verbose=False)
