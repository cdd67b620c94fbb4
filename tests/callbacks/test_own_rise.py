from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning_untrac.callbacks import InfluenceLogger, OwnRise

from lightning_untrac import EpisodePlan, PreUnlearningWeights, ReadingSchedule, Unlearning
from lightning_untrac.metrics import DatasetLosses


@pytest.fixture
def unlearn(make_data: Any, model_folders: Any) -> Any:
    """Trace with ``OwnRise``; the rows by (corpus, test set), with those of all readings, and the callback."""
    import lightning.pytorch as L

    def run(target: float, steps: int = 6, lr: float = 1e-3, kind: str = "each_corpus", readings: Any = 100) -> Any:
        data = make_data(batch_size=4, plan=EpisodePlan(kind, steps=steps))  # type: ignore[arg-type]
        module = Unlearning(model_folders(), optimizer=lambda p: torch.optim.Adam(p, lr=lr))
        data.prepare(module)
        rise = OwnRise(target)
        influence = InfluenceLogger(read_at=rise)
        callbacks = [PreUnlearningWeights(), ReadingSchedule(readings), rise, influence]
        trainer = L.Trainer(
            max_epochs=len(data.plan.episodes(data.corpus_names, data.test_set_names)),
            reload_dataloaders_every_n_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,  # type: ignore[arg-type]
        )
        trainer.fit(module, datamodule=data)
        return {(r.corpus, r.test_set): r for r in influence.rows if r.final}, influence.rows, rise

    return run


def own_loss(module: Any, examples: Any) -> float:
    total = tokens = 0.0
    for index in range(len(examples)):
        ids = torch.tensor(examples[index]["input_ids"].tolist())[None]
        log_probabilities = module.model(input_ids=ids).logits.log_softmax(-1)
        total -= log_probabilities[0, torch.arange(ids.shape[1] - 1), ids[0, 1:]].sum().item()
        tokens += ids.shape[1] - 1
    return total / tokens


def test_the_influence_lies_on_the_line_between_the_readings_around_the_rise(
    unlearn: Any, make_data: Any, model_folders: Any
) -> None:
    target = 0.02
    final, _, _ = unlearn(target)
    data = make_data(batch_size=4, plan=EpisodePlan("each_corpus", steps=6))
    module = Unlearning(model_folders())
    data.prepare(module)
    module.configure_model()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    examples = data.training_examples("birds")
    (episode, *_) = data.plan.episodes(data.corpus_names, data.test_set_names)
    test_set = data.training_examples("ask-birds")
    start, points = own_loss(module, examples), [(0.0, own_loss(module, test_set))]
    for batch in data.sampler(episode):
        losses, counts = [], []
        for index in batch:
            ids = torch.tensor(examples[index]["input_ids"].tolist())[None]
            log_probabilities = module.model(input_ids=ids).logits.log_softmax(-1)
            losses.append(-log_probabilities[0, torch.arange(ids.shape[1] - 1), ids[0, 1:]].sum())
            counts.append(ids.shape[1] - 1)
        optimizer.zero_grad()
        (-sum(losses) / sum(counts)).backward()
        optimizer.step()
        points.append((own_loss(module, examples) - start, own_loss(module, test_set)))
        if points[-1][0] >= target:
            break
    (low, one), (high, other) = points[-2:]
    expected = one + (target - low) / (high - low) * (other - one)
    row = final["birds", "ask-birds"]
    assert row.step == len(points) - 1
    assert row.loss_after == pytest.approx(expected, abs=1e-5)
    assert row.influence == row.loss_after - row.loss_before


def test_reached_in_the_first_step_the_line_begins_at_the_start(unlearn: Any) -> None:
    small, *_ = unlearn(1e-4)
    smaller, *_ = unlearn(5e-5)
    assert {row.step for row in small.values()} == {1}
    for key, row in small.items():
        assert row.influence == pytest.approx(2 * smaller[key].influence, rel=1e-6)


def test_readings_of_another_learning_rate_are_close(unlearn: Any) -> None:
    slow, *_ = unlearn(0.02, lr=3e-4, steps=60)
    fast, *_ = unlearn(0.02, lr=1e-3, steps=60)
    for key, row in slow.items():
        assert row.step > fast[key].step
        assert row.influence == pytest.approx(fast[key].influence, rel=0.5, abs=0.003)


def test_a_rise_that_is_never_reached_is_said(unlearn: Any) -> None:
    with pytest.warns(UserWarning, match=r"\(seed 0\) raised its own loss by .* and not by 3.0"):
        final, _, rise = unlearn(3.0, steps=2)
    assert set(rise.unreached) == {("birds", 0), ("ships", 0), ("bread", 0)}
    assert {row.step for row in final.values()} == {2}
    assert all(0 < risen < 3 for risen in rise.unreached.values())


def test_the_inverse_reads_where_the_test_set_has_risen(unlearn: Any) -> None:
    final, rows, rise = unlearn(0.01, kind="each_test_set")
    assert len(final) == 6
    assert not rise.unreached
    for row in rows:
        last = max(r.step for r in rows if r.test_set == row.test_set)
        assert row.final == (row.step == last)


def test_readings_before_the_rise_are_as_they_are(unlearn: Any) -> None:
    _, with_rise, _ = unlearn(0.05, lr=5e-4, steps=30)
    with pytest.warns(UserWarning, match="not by 9.0"):
        _, without, _ = unlearn(9.0, lr=5e-4, steps=30)
    same = {r.key: r.influence for r in without}
    before = [r for r in with_rise if not r.final]
    assert before
    assert all(same[r.key] == r.influence for r in before)


def test_the_interpolation_leaves_counts_alone() -> None:
    def losses(value: float) -> DatasetLosses:
        parts = torch.tensor([[[7 * value], [2 * value], [7.0], [2.0]]])
        return DatasetLosses(torch.tensor([value]), torch.tensor([value]), torch.tensor([7]), torch.tensor([2]), parts)

    rise = OwnRise(0.5)
    rise._strengths = (0.0, 2.0)
    read = rise.interpolate(losses(1.0), losses(5.0))
    assert [values.tolist() for values in read] == [
        [2.0],
        [2.0],
        [7],
        [2],
        [[[14.0], [4.0], [7.0], [2.0]]],
    ]


def test_a_rise_survives_a_checkpoint_inside_an_episode() -> None:
    rise = OwnRise(0.5)
    rise._strengths, rise._start, rise.unreached = (0.1, 0.3), 2.5, {("birds", 0): 0.2}
    other = OwnRise(0.5)
    other.load_state_dict(rise.state_dict())
    assert (other._strengths, other._start, other.unreached) == ((0.1, 0.3), 2.5, {("birds", 0): 0.2})


@pytest.mark.parametrize("arguments", [{"target": 0.0}, {"target": float("inf")}, {"max_examples": 0}])
def test_what_cannot_be_reached_is_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match="above 0"):
        OwnRise(**arguments)
