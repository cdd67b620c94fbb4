"""Every shipped term, retain term, anchor and rectifier in a run: the same steps however the effective batch is cut."""

from __future__ import annotations

from typing import Any

import every_objective
import pytest
import torch
from every_objective import KINDS, objective, shipped
from lightning.pytorch.callbacks import Callback

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.objectives import Objective


@pytest.fixture
def unlearn(make_pairs: Any, model_folders: Any) -> Any:
    """The weights before and after one pass over twelve questions in steps of eight and four."""

    def run(made: Objective, size: int, accumulation: int) -> tuple[torch.Tensor, torch.Tensor]:
        before: list[torch.Tensor] = []

        class Begin(Callback):
            def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
                before.append(flat(pl_module))

        def flat(module: Any) -> torch.Tensor:
            return torch.cat([p.detach().flatten() for p in module.model.parameters() if p.requires_grad]).clone()

        module, trainer = every_objective.fit(
            make_pairs(batch_size=size, retained_per_example=2), model_folders("gpt2", "float64"), made,
            optimizer=lambda p: torch.optim.SGD(p, lr=0.5), plan={"passes": 1}, accumulation=accumulation,
            callbacks=[Begin()],
        )  # fmt: skip
        assert trainer.global_step == 2
        return before[0], flat(module)

    return run


def test_the_rooms_hold_what_is_tested() -> None:
    assert {room for room, _ in shipped()} == KINDS.keys()


@pytest.mark.parametrize(("room", "name"), shipped())
def test_the_weights_are_the_same_however_the_steps_are_cut(room: str, name: str, unlearn: Any) -> None:
    before, whole = unlearn(objective(room, name), 8, 1)
    if every_objective.pairs_examples(objective(room, name)):
        with pytest.raises(ConfigurationError, match=rf"accumulate_grad_batches: 8; {name} holds a step's examples"):
            unlearn(objective(room, name), 1, 8)
        return
    _, cut = unlearn(objective(room, name), 1, 8)  # the last step has four texts, and so four empty shares
    assert (whole - before).abs().max() > 1e-6
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("room", "name"), [pair for pair in shipped() if pair[0] in ("retain", "anchor", "rectify")])
def test_what_holds_on_changes_the_steps(room: str, name: str, unlearn: Any) -> None:
    """Or the test above would hold for a term that does nothing."""
    _, plain = unlearn(Objective(), 8, 1)
    _, held = unlearn(objective(room, name), 8, 1)
    assert (plain - held).abs().max() > 1e-6


@pytest.mark.parametrize(("room", "name"), [pair for pair in shipped() if pair[0] in ("retain", "rectify")])
def test_a_run_that_goes_on_ends_in_the_same_weights(room: str, name: str, whole_and_resumed: Any) -> None:
    before, whole, resumed = whole_and_resumed(
        lambda: objective(room, name), lambda p: torch.optim.SGD(p, lr=0.05), accumulation=2
    )
    assert not torch.equal(before, whole)
    assert torch.equal(whole, resumed)
