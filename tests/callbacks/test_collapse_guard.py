from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CollapseGuard, Unlearning


def test_a_collapse_ends_the_episode_and_marks_its_readings(trace: Any, make_data: Any) -> None:
    _, rows, module = trace(
        data=make_data(batch_size=4),
        optimizer=lambda p: torch.optim.Adam(p, lr=0.03),
        steps=30,
        readings=30,
        callbacks=(CollapseGuard(),),
    )
    cap = 2 * math.log(module.vocabulary_size)
    for corpus in ("birds", "ships", "bread"):
        mine = [r for r in rows if r.corpus == corpus]
        statuses = [r.status for r in sorted(mine, key=lambda r: r.step)]
        assert "ok" in statuses
        assert statuses[-1] == "collapsed"
        # An untrained model stands at a uniform guess: above it it is broken, and from a collapse nothing comes back.
        first = statuses.index("collapsed")
        assert set(statuses[:first]) <= {"ok", "broken"}
        assert set(statuses[first:]) == {"collapsed"}
        last = max(r.step for r in mine)
        assert last < 30
        assert all(r.final == (r.step == last) for r in mine)
        assert all(r.loss_after <= cap for r in mine if r.status == "ok")
    # The next episode is not touched by the last one's collapse.
    assert all(r.status in ("ok", "broken") for r in rows if r.step == 1)


def test_an_infinite_cap_lets_it_run(trace: Any, make_data: Any) -> None:
    _, rows, _ = trace(
        data=make_data(batch_size=4),
        optimizer=lambda p: torch.optim.Adam(p, lr=0.03),
        steps=20,
        callbacks=(CollapseGuard(math.inf),),
    )
    assert {r.status for r in rows} <= {"ok", "broken"}
    assert {r.step for r in rows} == {20}


class Breaks(Unlearning):
    def objective(self, seen: Any) -> torch.Tensor:
        loss = -seen.forget.mean_loss()
        return loss * math.nan if self.trainer.current_epoch == 1 and self.trainer.global_step % 3 == 1 else loss


def test_a_nan_ends_its_episode_only(trace: Any, make_data: Any, model_folders: Any) -> None:
    module = Breaks(model_folders(), optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    _, rows, _ = trace(data=make_data(batch_size=4), module=module, callbacks=(CollapseGuard(),), readings=3)
    status = {(r.corpus, r.step): r.status for r in rows}
    assert status["ships", 1] == "ok"
    assert status["ships", 2] == "nonfinite"
    assert {s for (corpus, _), s in status.items() if corpus != "ships"} == {"ok"}


@pytest.mark.parametrize("cap", [None, 1.5])
def test_a_reading_above_the_cap_is_marked(trace: Any, make_data: Any, cap: float | None) -> None:
    _, rows, module = trace(data=make_data(batch_size=4), callbacks=(CollapseGuard(cap),))
    limit = cap or 2 * math.log(module.vocabulary_size)
    for row in rows:
        assert row.loss_after is not None
        assert (row.status == "collapsed") == (row.loss_after > limit)


class Spoils(Callback):
    """Makes one gradient NaN, in the second step of the second episode, and nothing else."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.steps = 0

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.steps += 1
        if trainer.current_epoch == 1 and self.steps == 2:
            next(pl_module.parameters()).grad.fill_(math.nan)


def test_a_gradient_that_is_not_finite_ends_its_episode_at_that_step(trace: Any, make_data: Any) -> None:
    _, rows, _ = trace(data=make_data(batch_size=4), callbacks=(Spoils(), CollapseGuard()), steps=4, readings=4)
    final = {r.corpus: (r.step, r.status) for r in rows if r.final}
    assert final["ships"] == (2, "nonfinite")
    assert {final["birds"], final["bread"]} == {(4, "ok")}


def test_what_is_judged_is_the_measured_loss_and_not_the_objective(trace: Any, make_data: Any) -> None:
    def far_away(seen: Any) -> Any:  # an objective may start anywhere: NPO's is 13.86
        return -seen.forget.mean_loss() + 1000

    _, rows, _ = trace(
        data=make_data(batch_size=4), callbacks=(CollapseGuard(),), module_options={"unlearning_objective": far_away}
    )
    # An untrained model stands at a uniform guess, so some of its losses end above one.
    assert {row.status for row in rows} <= {"ok", "broken"}


def test_the_model_before_unlearning_is_never_flagged(trace: Any, make_data: Any, model_folders: Any) -> None:
    """The cap lies below the trained model's own loss: steps are judged from the second on, readings always."""
    started = []

    class Look(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            started.append((batch_idx, pl_module.episode_status))

    trace(data=make_data(batch_size=4), callbacks=(CollapseGuard(1.5), Look()), steps=3)
    assert {status for index, status in started if index == 0} == {"ok"}
    assert {status for index, status in started if index == 1} == {"collapsed"}
