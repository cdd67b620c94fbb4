"""Every shipped forget term in a run: the model before unlearning never counts as collapsed, a cut run goes on."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
import torch

from lightning_untrac import CollapseGuard, objectives
from lightning_untrac.objectives import ForgetTerm, Objective, forget


def shipped() -> dict[str, Any]:
    found = {}
    for one in pkgutil.iter_modules(forget.__path__):
        module = importlib.import_module(f"{forget.__name__}.{one.name}")
        found |= {
            name: cls
            for name, cls in vars(module).items()
            if isinstance(cls, type) and issubclass(cls, ForgetTerm) and cls.__module__ == module.__name__
        }
    return found


TERMS = shipped()
ARGUMENTS: dict[str, dict[str, Any]] = {"DeepCUT": {"views": 1}}  # the models here have no dropout to make others by
every_term = pytest.mark.parametrize("name", TERMS)


def test_every_forget_term_can_be_imported_from_the_room() -> None:
    assert TERMS.keys() <= set(objectives.__all__)
    assert len(TERMS) >= 19


@every_term
def test_the_model_before_unlearning_is_never_flagged(name: str, trace: Any, make_pairs: Any) -> None:
    """Whatever a term's value is there: that of NPO is 13.86, and a loss of 11.90 is over the cap."""
    _, rows, _ = trace(
        data=make_pairs(batch_size=4), steps=2, callbacks=(CollapseGuard(),),
        optimizer=lambda p: torch.optim.SGD(p, lr=1e-6),
        module_options={"unlearning_objective": Objective(forget=TERMS[name](**ARGUMENTS.get(name, {})))},
    )  # fmt: skip
    assert rows
    # An untrained model stands at a uniform guess, which is called broken.
    assert {row.status for row in rows} <= {"ok", "broken"}
    assert max(row.step for row in rows) == 2


@every_term
def test_a_resumed_run_ends_in_the_same_weights(name: str, whole_and_resumed: Any) -> None:
    before, whole, resumed = whole_and_resumed(
        lambda: Objective(forget=TERMS[name](**ARGUMENTS.get(name, {}))), lambda p: torch.optim.Adam(p, lr=1e-3)
    )
    assert not torch.equal(before, whole)
    assert torch.equal(whole, resumed)
