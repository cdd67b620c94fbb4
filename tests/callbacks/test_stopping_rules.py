"""Rules that end an unlearning at a reading: where they do it, what they say, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning_untrac.callbacks import StopAtHoldout, StopAtMeasure, StopAtRetainedLoss

from lightning_untrac import (
    DatasetConfig,
    EpisodePlan,
    InfluenceLogger,
    MeasureRecorder,
    Pretraining,
    ReadingSchedule,
    Unlearning,
)
from lightning_untrac.errors import ConfigurationError

BOTH = "loss,memorisation_accuracy"


@pytest.fixture(scope="module")
def trained(model_folders: Any, text_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that knows ``birds`` better than other texts."""
    module = Unlearning(model_folders())
    module.configure_model()
    texts = [json.loads(line)["text"] for line in text_files["birds"].read_text().splitlines()]
    batch = module.tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.Adam(module.model.parameters(), lr=1e-2)
    for _ in range(12):
        optimizer.zero_grad()
        module.mean_loss({**batch, "labels": labels}).backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("trained")
    module.model.save_pretrained(folder)
    module.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def unlearn(make_data: Any, trained: str, text_files: dict[str, Path]) -> Any:
    """Unlearn ``birds`` in small steps; the recorder and the rows of the influence logger."""

    def run(
        *rules: Any, steps: int = 12, readings: int = 12, lr: float = 0.05, holdout: bool = True, fit: bool = True,
        callbacks: Any = (), module: Any = Unlearning, plan: EpisodePlan | None = None, measures: str = BOTH,
        **options: Any,
    ) -> Any:  # fmt: skip
        held = [DatasetConfig(path=str(text_files["ask-ships"]), name="unseen")] if holdout else []
        data = make_data(("birds", "ships", "bread"), ("ask-birds",), batch_size=4, holdout=held)
        data.plan = plan or EpisodePlan("one", steps=steps, only=("birds",))
        phase = module(trained, optimizer=lambda p: torch.optim.SGD(p, lr=lr))
        data.prepare(phase)
        recorder, influence = MeasureRecorder(None, measures), InfluenceLogger()
        trainer = L.Trainer(
            max_epochs=len(data.plan.episodes(data.corpus_names, data.test_set_names)),
            reload_dataloaders_every_n_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=options.pop("root", None),
            enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
            # The rules last, where a user's callbacks stand.
            callbacks=[ReadingSchedule(readings), influence, recorder, *callbacks, *rules],
        )  # fmt: skip
        if fit:
            trainer.fit(phase, datamodule=data, weights_only=True if options.get("ckpt_path") else None, **options)
        return recorder, influence, trainer

    return run


def trajectory(recorder: Any, dataset: str, measure: str = "loss") -> dict[int, float]:
    rows = [row for row in recorder.summary if (row["dataset"], row["measure"]) == (dataset, measure)]
    return {row["step"]: row["value"] for row in rows if row["statistic"] == "mean"}


def test_it_stops_at_the_first_reading_at_the_holdouts_level(unlearn: Any) -> None:
    whole, _, _ = unlearn(lr=0.3)
    own, level = trajectory(whole, "birds"), trajectory(whole, "unseen")
    reached = [step for step in own if own[step] >= level[step]]
    assert 1 < reached[0] < 12  # the test would show nothing
    rule = StopAtHoldout()
    stopped, influence, _ = unlearn(rule, lr=0.3)
    assert max(trajectory(stopped, "birds")) == reached[0]
    assert trajectory(stopped, "birds") == {step: loss for step, loss in own.items() if step <= reached[0]}
    assert [row.step for row in influence.rows if row.final] == [reached[0]] * len(stopped_datasets(stopped))
    assert {row.status for row in influence.rows} <= {"ok", "broken"}
    assert rule.reason is not None
    assert rule.reason.startswith("birds's loss")
    assert f"{own[reached[0]]:.2f}" in rule.reason
    assert f"{level[reached[0]]:.2f}" in rule.reason


def stopped_datasets(recorder: Any) -> set[str]:
    return {row["dataset"] for row in recorder.summary}


def test_where_it_is_not_met_it_says_how_far_it_was(unlearn: Any) -> None:
    rules = StopAtHoldout(), StopAtMeasure("loss", at_least=50.0), StopAtRetainedLoss(10.0)
    recorder, _, _ = unlearn(*rules, steps=2, readings=2, lr=1e-4)
    assert max(trajectory(recorder, "birds")) == 2
    assert [rule.reason for rule in rules] == [None] * 3
    assert all(rule.standing for rule in rules)
    assert "has not reached the holdout's" in str(rules[0].standing)
    assert "is below 50" in str(rules[1].standing)


@pytest.mark.parametrize("measures", [BOTH, "memorisation_accuracy"])
def test_a_measure_of_any_dataset_may_be_the_rule(unlearn: Any, measures: str) -> None:
    whole, _, _ = unlearn(measures=measures)
    accuracy = trajectory(whole, "ships", "memorisation_accuracy")
    least = min(accuracy.values())
    assert accuracy[1] > least
    rule = StopAtMeasure("memorisation_accuracy", at_most=least, dataset="ships")
    stopped, _, _ = unlearn(rule, measures=measures)
    assert max(trajectory(stopped, "ships", "memorisation_accuracy")) == min(
        s for s, v in accuracy.items() if v <= least
    )
    assert "ships's memorisation_accuracy" in str(rule.reason)


def test_the_level_may_be_that_of_another_dataset(unlearn: Any) -> None:
    whole, _, _ = unlearn(lr=0.3)
    own, level = (trajectory(whole, name, "memorisation_accuracy") for name in ("birds", "unseen"))
    reached = [step for step in own if step and own[step] <= level[step]]
    assert own[0] > level[0]
    assert reached[0] < 12  # the test would show nothing
    rule = StopAtMeasure.of("memorisation_accuracy <= unseen")
    stopped, _, _ = unlearn(rule, lr=0.3)
    assert max(trajectory(stopped, "birds", "memorisation_accuracy")) == reached[0]
    assert "is at most unseen's" in str(rule.reason)
    never = StopAtMeasure.of("loss >= birds")  # what is measured has no number that is above itself, but equals it
    unlearn(never, steps=2, readings=2, lr=1e-6)
    assert "is at least birds's" in str(never.reason)


def retained(recorder: Any) -> dict[int, float]:
    """Over all tokens of both corpora."""
    rows = {(r["dataset"], r["step"], r["statistic"]): r["value"] for r in recorder.summary if r["measure"] == "loss"}
    steps = sorted({step for _, step, _ in rows})
    weights = {name: rows[name, 0, "weight"] for name in ("ships", "bread")}
    return {s: sum(rows[n, s, "mean"] * w for n, w in weights.items()) / sum(weights.values()) for s in steps}


@pytest.mark.parametrize("patience", [1, 3])
def test_it_waits_for_so_many_bad_readings_in_a_row(unlearn: Any, patience: int) -> None:
    whole, _, _ = unlearn(lr=0.2)
    losses = retained(whole)
    rise = losses[4] - losses[0] - 1e-9
    assert all(losses[step] > losses[0] + rise for step in range(4, 13))
    rule = StopAtRetainedLoss(rise, patience)
    stopped, _, _ = unlearn(rule, lr=0.2)
    first = next(step for step in range(1, 13) if all(losses[step + i] > losses[0] + rise for i in range(patience)))
    assert max(trajectory(stopped, "birds")) == first + patience - 1
    assert f"{patience} reading" in str(rule.reason)


def test_each_episode_is_judged_anew(make_data: Any, trace: Any) -> None:
    """Of a trace: three episodes, which one rule ends each for itself."""
    rule = StopAtMeasure("loss", at_least=0.0, dataset="ask-birds")
    _, rows, _ = trace(data=make_data(batch_size=4), callbacks=(rule,), steps=3, readings=3)
    assert {(row.corpus, row.step) for row in rows} == {(name, 1) for name in ("birds", "ships", "bread")}
    assert all(row.final for row in rows)


class KilledError(Exception):
    pass


class KillsAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KilledError


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_fit_that_goes_on_has_kept_its_patience(unlearn: Any, tmp_path: Path) -> None:
    options: Any = {"lr": 0.2, "readings": [2, 4, 6, 8, 10, 12], "root": tmp_path}
    losses = retained(unlearn(**options)[0])
    rise = (losses[2] + losses[4]) / 2 - losses[0]
    assert losses[2] < losses[0] + rise < min(losses[step] for step in (4, 6, 8))
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=5, save_top_k=-1, filename="{step}")
    with pytest.raises(KilledError):
        unlearn(StopAtRetainedLoss(rise, 3), callbacks=(saver, KillsAt(6)), **options)
    rule = StopAtRetainedLoss(rise, 3)
    _, _, trainer = unlearn(rule, ckpt_path=str(tmp_path / "step=5.ckpt"), **options)
    assert trainer.global_step == 8  # and not 10
    assert rule.reason is not None


def test_what_it_needs_is_asked_for_before_the_first_step(unlearn: Any) -> None:
    for rule, words in (
        (StopAtHoldout(), ["there is no holdout"]),
        (StopAtMeasure("memorization_accuracy", at_most=0.3), ["did you mean 'memorisation_accuracy'?"]),
        (StopAtMeasure("loss", at_most=0.3, dataset="shipz"), ["did you mean 'ships'?"]),
        (StopAtMeasure("loss", at_most="shipz"), ["it needs 'shipz'", "did you mean 'ships'?"]),
    ):
        with pytest.raises(ConfigurationError) as caught:
            unlearn(rule, holdout=False)
        assert all(word in str(caught.value) for word in words)
    with pytest.raises(ConfigurationError, match="needs 'birds', which these readings do not measure"):
        unlearn(StopAtMeasure("loss", at_least=3), plan=EpisodePlan("each_corpus", steps=1))
    with pytest.raises(ConfigurationError, match="ends an unlearning, and Pretraining is none"):
        unlearn(StopAtMeasure("loss", at_least=3, dataset="ask-birds"), module=Pretraining)


@pytest.mark.parametrize("text", ["loss", "loss>3", "loss>=", ">=3", "loss >= 3 4", "a/b/c>=1", "loss>=1e999"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"condition|give one of the two, a number|could not convert"):
        StopAtMeasure.of(text)
