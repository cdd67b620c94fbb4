"""Objectives against closed forms, on a tiny model and in whole episodes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lightning_untrac import LanguageModule
from lightning_untrac.objectives import NPO, ClampedAscent, Descent, GradientAscent, KLToUniform, Objective, RetainKL


@pytest.fixture
def module(model_folders: Any) -> LanguageModule:
    module = LanguageModule(model_folders("gpt2", "float64"), dtype="float64", dropout=False)
    module.configure_model()
    return module


@pytest.fixture
def batch() -> Any:
    ids = torch.tensor([[10, 20, 30, 40], [11, 21, 31, 0]])
    labels = ids.clone()
    labels[1, 3] = -100
    return {"input_ids": ids, "labels": labels, "attention_mask": (labels != -100).long()}


def test_descent_is_the_loss_and_ascent_its_opposite(module: Any, batch: Any) -> None:
    loss, seen = module.mean_loss(batch), module.see(batch)
    assert Descent()(seen).mean == loss
    assert GradientAscent()(seen).mean == -loss


def test_clamped_ascent_is_ascent_of_the_tokens_below_the_cap(module: Any, batch: Any) -> None:
    seen = module.see(batch)
    losses = torch.nn.functional.cross_entropy(seen.forget.target_logits, seen.forget.target_ids, reduction="none")
    cap = float(losses.detach().sort().values[-2:].mean())
    term = ClampedAscent(cap)(seen)
    assert term.mean.item() == pytest.approx(-losses.clamp(max=cap).mean().item())
    (gradient,) = torch.autograd.grad(term.total, seen.forget.target_logits)
    assert (gradient.abs().sum(-1) > 0).tolist() == (losses < cap).tolist()
    assert ClampedAscent(cap=1e3)(module.see(batch)).mean.item() == pytest.approx(-losses.mean().item())


def test_the_default_cap_is_a_uniform_guess(module: Any, batch: Any) -> None:
    with torch.no_grad():  # far beyond any guess
        for parameter in module.parameters():
            parameter.mul_(100)
    seen = module.see(batch)
    losses = torch.nn.functional.cross_entropy(seen.forget.target_logits, seen.forget.target_ids, reduction="none")
    expected = -losses.clamp(max=math.log(module.vocabulary_size)).mean().item()
    assert ClampedAscent()(seen).mean.item() == pytest.approx(expected)
    assert losses.max() > 2 * math.log(module.vocabulary_size)


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        ClampedAscent(cap=0)


def test_kl_to_uniform_is_the_divergence_at_the_targets(module: Any, batch: Any) -> None:
    logits, targets = module(batch)
    expected = []
    for row in range(2):
        for place in range(4):
            if targets[row, place] != -100:
                p = logits[row, place].softmax(-1)
                expected.append((p * (p * len(p)).log()).sum().item())
    assert len(expected) == 5
    assert KLToUniform()(module.see(batch)).mean.item() == pytest.approx(sum(expected) / 5, rel=1e-10)


def test_a_model_that_knows_nothing_is_at_the_bottom(module: Any, batch: Any) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert KLToUniform()(module.see(batch)).mean.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("objective", [ClampedAscent(cap=6.5), KLToUniform()])
def test_long_episodes_stay_bounded(trace: Any, objective: Any) -> None:
    _, rows, _ = trace(
        module_options={"unlearning_objective": objective}, steps=30, optimizer=lambda p: torch.optim.Adam(p, lr=1e-2)
    )
    final = [row for row in rows if row.final]
    # An untrained model stands at a uniform guess: above it, and bounded.
    assert all(row.status in ("ok", "broken") and row.loss_after < 10 for row in final)


def test_the_name_of_an_objective_says_what_is_not_default() -> None:
    assert str(Objective()) == "GradientAscent"
    assert str(Objective(NPO(), [RetainKL()])) == "NPO + RetainKL"
    assert str(Objective(NPO(beta=1.0), [RetainKL(5)])) == "NPO(beta=1) + 5 RetainKL"
    assert str(Objective(ClampedAscent(6.0, weight=0.5))) == "0.5 ClampedAscent(cap=6)"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"forget": RetainKL()}, "forget=.*expected an instance of a ForgetTerm, e.g. NPO"),
        ({"retain": [RetainKL]}, "retain=.*expected an instance of a RetainTerm, e.g. RetainKL"),
        ({"anchor": RetainKL()}, "anchor=.*expected an instance of a Anchor"),
        ({"rectify": NPO()}, "rectify=.*expected an instance of a Rectifier, e.g. GRU"),
    ],
)
def test_what_stands_at_the_wrong_place_is_refused(given: Any, expected: str) -> None:
    with pytest.raises(TypeError, match=expected):
        Objective(**given)


def test_one_retain_term_needs_no_list() -> None:
    term = RetainKL()
    assert Objective(retain=term).retain == [term]  # type: ignore[arg-type]
