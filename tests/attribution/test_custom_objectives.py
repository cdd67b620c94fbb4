"""A user's own objective: micro-batches without targets must not poison it, and accumulation must change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lightning_untrac import Unlearning
from lightning_untrac.functional import mean_token_loss


def mean_over_targets(seen: Any) -> torch.Tensor:
    """A mean of nothing is NaN, unlike the package's own mean loss."""
    logits, targets = seen.forget.logits, seen.forget.targets
    entropy = torch.distributions.Categorical(logits=logits[targets != -100]).entropy().mean()
    return -mean_token_loss(logits, targets) - 0.1 * entropy


@pytest.mark.parametrize(("batch_size", "accumulation"), [(4, 2), (2, 4), (1, 8)])
def test_accumulation_changes_nothing_with_filler_in_the_last_step(
    trace: Any, make_data: Any, model_folders: Any, batch_size: int, accumulation: int
) -> None:
    def run(size: int, parts: int) -> Any:
        module = Unlearning(
            model_folders(), unlearning_objective=mean_over_targets, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3)
        )
        return trace(module=module, data=make_data(batch_size=size), steps=None, accumulate_grad_batches=parts)

    whole, rows, _ = run(8, 1)  # 12, 9 and 10 examples: the second step is a short one
    cut, cut_rows, _ = run(batch_size, accumulation)
    # An untrained model stands at a uniform guess, so some of its losses end above one.
    assert [r.status for r in rows] == [r.status for r in cut_rows]
    assert {r.status for r in rows} <= {"ok", "broken"}
    for key, influence in whole.items():
        assert cut[key] == pytest.approx(influence, rel=1e-3, abs=1e-5)


def test_a_training_step_of_the_users_own_may_return_its_loss_alone(
    trace: Any, make_data: Any, model_folders: Any
) -> None:
    from lightning_untrac import CollapseGuard

    class Plain(Unlearning):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return -self.mean_loss(batch)

    module = Plain(model_folders(), optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    plain, _, _ = trace(module=module, data=make_data(batch_size=4), callbacks=(CollapseGuard(),))
    usual, _, _ = trace(data=make_data(batch_size=4), callbacks=(CollapseGuard(),))
    assert plain == usual
