"""Every shipped term, retain term, anchor and rectifier in a run: the same steps however the effective batch is cut."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import lightning.pytorch as L
import pytest
import torch

from lightning_untrac import EpisodePlan, Unlearning, objectives
from lightning_untrac.objectives import Anchor, ForgetTerm, Objective, Rectifier, RetainLoss, RetainTerm

KINDS = {"forget": ForgetTerm, "retain": RetainTerm, "anchor": Anchor, "rectify": Rectifier}
NEEDED: dict[str, dict[str, Any]] = {
    "FisherAnchor": {"weight": 30.0, "fisher_examples": 4},
    "L2Anchor": {"weight": 0.3},
    "RetainBound": {"multiplier": 1.0},
    "SatImp": {"known": 1.0},  # of an untrained model, which knows no token, the defaults forget nothing
    "SimNPO": {"beta": 0.5},
}
"""Arguments of those that can't do without, or that pull too weakly to be seen."""


def shipped() -> list[tuple[str, str]]:
    """Room and name of each class."""
    found = []
    for room, kind in KINDS.items():
        package = importlib.import_module(f"{objectives.__name__}.{room}")
        for one in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{one.name}")
            found += [
                (room, name)
                for name, cls in vars(module).items()
                if isinstance(cls, type)
                and issubclass(cls, kind)
                and cls is not kind
                and cls.__module__ == module.__name__
            ]
    return found


def objective(room: str, name: str) -> Objective:
    one = getattr(objectives, name)(**NEEDED.get(name, {}))
    if room == "forget":
        return Objective(forget=one)
    if room == "retain":
        return Objective(retain=[one])
    return Objective(anchor=one) if room == "anchor" else Objective(retain=[RetainLoss()], rectify=one)


@pytest.fixture
def unlearn(make_pairs: Any, model_folders: Any) -> Any:
    """The weights before and after one pass over twelve questions in steps of eight and four."""

    def run(made: Objective, size: int, accumulation: int) -> tuple[torch.Tensor, torch.Tensor]:
        def flat() -> torch.Tensor:
            return torch.cat([p.detach().flatten() for p in module.model.parameters() if p.requires_grad]).clone()

        data = make_pairs(batch_size=size, retained_per_example=2)
        data.plan = EpisodePlan("one", only=("birds",), passes=1)
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=made,
            optimizer=lambda p: torch.optim.SGD(p, lr=0.5),
        )  # fmt: skip
        module.configure_model()
        before = flat()
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False,
            accumulate_grad_batches=accumulation,
        )  # fmt: skip
        trainer.fit(module, datamodule=data)
        assert trainer.global_step == 2
        return before, flat()

    return run


def test_the_rooms_hold_what_is_tested() -> None:
    assert {room for room, _ in shipped()} == KINDS.keys()


@pytest.mark.parametrize(("room", "name"), shipped())
def test_the_weights_are_the_same_however_the_steps_are_cut(room: str, name: str, unlearn: Any) -> None:
    before, whole = unlearn(objective(room, name), 8, 1)
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
