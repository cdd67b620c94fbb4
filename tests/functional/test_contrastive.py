"""The contrastive unlearning loss: golden values, bounds, gradients, and the faults of the first code for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from lightning_untrac.functional.contrastive import (
    DENOMINATORS,
    contrastive_unlearning,
    push_apart,
    unit_vectors,
)

ANCHORS = torch.tensor([[1.0, 0, 0], [0, 1, 1]], dtype=torch.float64)
ANCHOR_CLASSES = torch.tensor([0, 1])
PARTNERS = torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], dtype=torch.float64)
PARTNER_CLASSES = torch.tensor([0, 1, 2, 0])
GOLDEN = {"same": [1.703300, 0.197245], "all": [2.013841, 1.446508]}


def loss(denominator: Any = "same", **changed: Any) -> torch.Tensor:
    given = {
        "anchors": ANCHORS, "anchor_classes": ANCHOR_CLASSES, "partners": PARTNERS, "partner_classes": PARTNER_CLASSES,
    } | changed  # fmt: skip
    return contrastive_unlearning(**given, denominator=denominator)


def drawn(seed: int, anchors: int = 5, partners: int = 9, width: int = 4, classes: int = 3) -> dict[str, torch.Tensor]:
    """Vectors of unlike lengths, each class among the partners."""
    random = torch.Generator().manual_seed(seed)
    return {
        "anchors": torch.randn(anchors, width, generator=random, dtype=torch.float64) * 3,
        "anchor_classes": torch.randint(classes, (anchors,), generator=random),
        "partners": torch.randn(partners, width, generator=random, dtype=torch.float64) * 3,
        "partner_classes": torch.arange(partners) % classes,
    }


def plainly(i: int, given: dict[str, torch.Tensor], denominator: str, temperature: float = 0.7) -> float:
    """One anchor's value by numpy, pair by pair."""
    z = given["anchors"][i].numpy()
    at = lambda j: float(  # noqa: E731
        z @ given["partners"][j].numpy() / np.linalg.norm(z) / np.linalg.norm(given["partners"][j].numpy())
    )
    s = [at(j) / temperature for j in range(len(given["partners"]))]
    mine = [bool(c == given["anchor_classes"][i]) for c in given["partner_classes"]]
    pulls = [x for x, same in zip(s, mine, strict=True) if not same]
    pushes = [x for x, same in zip(s, mine, strict=True) if same] if denominator == "same" else s
    return math.log(sum(map(math.exp, pushes))) - sum(pulls) / len(pulls)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_the_values_are_those_that_others_get(denominator: str) -> None:
    assert loss(denominator).tolist() == pytest.approx(GOLDEN[denominator], abs=5e-7)
    lengthened = loss(denominator, anchors=ANCHORS * 7, partners=PARTNERS * torch.tensor([[1.0], [2], [3], [4]]))
    assert lengthened.tolist() == pytest.approx(GOLDEN[denominator], abs=5e-7)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_pair_by_pair(denominator: str) -> None:
    given = drawn(1)
    for temperature in (0.07, 0.7):
        found = loss(denominator, **given, temperature=temperature)
        expected = [plainly(i, given, denominator, temperature) for i in range(5)]
        assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_logarithm_counts_once() -> None:
    """The first code took it off every pair, so that it counted (|D| + |S|) / |D| times: 2.396447 for anchor 0."""
    s = unit_vectors(ANCHORS) @ unit_vectors(PARTNERS).T / 0.7
    same = ANCHOR_CLASSES[:, None] == PARTNER_CLASSES[None]
    shifted = s - s.max(1, keepdim=True).values
    log_sums = (shifted.exp() * same).sum(1).log()
    faulty = -((shifted * ~same) - log_sums[:, None]).sum(1) / (~same).sum(1)
    assert faulty.tolist() == pytest.approx([2.396447, 0.197245], abs=5e-7)  # both as they were found
    assert loss().tolist() == pytest.approx(GOLDEN["same"], abs=5e-7)
    assert abs(loss()[0] - faulty[0]) > 0.5


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_an_anchor_without_its_own_class_is_only_pulled(denominator: Any) -> None:
    """The first code took the logarithm of 0 there, and all weights became NaN."""
    anchors = ANCHORS.clone().requires_grad_()
    partners = PARTNERS.clone().requires_grad_()
    classes = torch.tensor([5, 1])
    found = loss(denominator, anchors=anchors, anchor_classes=classes, partners=partners)
    if denominator == "same":
        cosines = unit_vectors(ANCHORS[0]) @ unit_vectors(PARTNERS).T
        assert found[0].item() == pytest.approx(-cosines.mean().item() / 0.7)
    found.sum().backward()
    assert found.isfinite().all()
    assert anchors.grad is not None
    assert anchors.grad.isfinite().all()
    assert anchors.grad[0].any()
    assert partners.grad is not None
    assert partners.grad.isfinite().all()


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_an_anchor_that_has_nothing_to_go_to_is_skipped(denominator: Any) -> None:
    anchors = ANCHORS.clone().requires_grad_()
    partners = PARTNERS.clone().requires_grad_()
    alone = torch.tensor([0, 0, 0, 0])
    found = loss(denominator, anchors=anchors, partners=partners, partner_classes=alone)
    assert found[0].item() == 0
    assert found[1].item() != 0
    (gradient,) = torch.autograd.grad(found[0], partners, retain_graph=True)
    assert not gradient.any()
    found.sum().backward()
    assert anchors.grad is not None
    assert anchors.grad.isfinite().all()
    assert not anchors.grad[0].any()


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize(("anchors", "partners"), [(0, 4), (2, 0)])
def test_nothing_to_pair(denominator: Any, anchors: int, partners: int) -> None:
    given = {
        "anchors": ANCHORS[:anchors].clone().requires_grad_(), "anchor_classes": ANCHOR_CLASSES[:anchors],
        "partners": PARTNERS[:partners].clone().requires_grad_(), "partner_classes": PARTNER_CLASSES[:partners],
    }  # fmt: skip
    found = loss(denominator, **given)
    pushed = push_apart(given["anchors"], given["partners"])
    assert found.tolist() == pushed.tolist() == [0.0] * anchors
    (found.sum() + pushed.sum()).backward()
    assert not given["anchors"].grad.any()


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_the_gradient_is_the_derivative(denominator: Any) -> None:
    given = drawn(2)
    given["anchor_classes"][0] = 7  # one without its own class
    torch.autograd.gradcheck(
        lambda a, p: loss(denominator, **given | {"anchors": a, "partners": p}),
        (given["anchors"].requires_grad_(), given["partners"].requires_grad_()),
    )
    torch.autograd.gradcheck(push_apart, (given["anchors"], given["partners"]))


def test_the_gradient_is_the_one_of_the_formula() -> None:
    """(1/tau)(-mean_D z + sum_S softmax(s) z), before the anchor is put to length 1."""
    z = unit_vectors(ANCHORS[:1]).requires_grad_()
    kept = unit_vectors(PARTNERS)
    (gradient,) = torch.autograd.grad(loss(anchors=z, anchor_classes=torch.tensor([0])).sum(), z)
    near = (z.detach() @ kept[[0, 3]].T / 0.7).softmax(1)
    expected = (near @ kept[[0, 3]] - kept[[1, 2]].mean(0)) / 0.7
    along = expected - (expected @ z.detach().T) * z.detach()  # what normalising leaves of it
    torch.testing.assert_close(gradient, along, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_the_values_are_within_their_bounds(seed: int) -> None:
    given, tau = drawn(seed), 0.3
    sizes = (given["anchor_classes"][:, None] == given["partner_classes"]).sum(1).double()
    assert (loss("same", **given, temperature=tau) >= -2 / tau + sizes.log()).all()
    every = loss("all", **given, temperature=tau)
    assert (every >= 0).all()
    assert (every <= 2 / tau + math.log(9)).all()
    assert (push_apart(given["anchors"], given["partners"], temperature=tau).abs() <= 1 / tau).all()


@pytest.mark.parametrize("tau", [0.07, 0.7])
def test_the_bounds_are_reached(tau: float) -> None:
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    partners, classes = torch.cat([-one, -one, one]), torch.tensor([0, 0, 1])
    lowest = contrastive_unlearning(one, torch.tensor([0]), partners, classes, temperature=tau)
    assert lowest.item() == pytest.approx(-2 / tau + math.log(2))
    highest = contrastive_unlearning(one, torch.tensor([0]), -partners, classes, temperature=tau, denominator="all")
    assert 2 / tau < highest.item() <= 2 / tau + math.log(3)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_the_order_does_not_matter(denominator: Any) -> None:
    given = drawn(3)
    rows, columns = torch.randperm(5), torch.randperm(9)
    turned = {
        "anchors": given["anchors"][rows], "anchor_classes": given["anchor_classes"][rows],
        "partners": given["partners"][columns], "partner_classes": given["partner_classes"][columns],
    }  # fmt: skip
    torch.testing.assert_close(loss(denominator, **turned), loss(denominator, **given)[rows], rtol=0, atol=1e-13)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_views_that_are_alike_change_no_gradient(views: int) -> None:
    """Each partner ``views`` times: the pull is a mean, and the push is shifted by a constant."""
    given = drawn(4)
    anchors = given["anchors"].clone().requires_grad_()
    (once,) = torch.autograd.grad(loss(**given | {"anchors": anchors}).sum(), anchors)
    more = {
        "anchors": anchors.repeat(views, 1), "anchor_classes": given["anchor_classes"].repeat(views),
        "partners": given["partners"].repeat(views, 1), "partner_classes": given["partner_classes"].repeat(views),
    }  # fmt: skip
    found = loss(**more)
    torch.testing.assert_close(found, loss(**given).repeat(views) + math.log(views), rtol=0, atol=1e-13)
    (often,) = torch.autograd.grad(found.mean() * 5, anchors)
    torch.testing.assert_close(often, once, rtol=0, atol=1e-13)


@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_views_of_the_anchor_itself_neither_pull_nor_push(denominator: Any) -> None:
    given = drawn(5)
    more = given | {
        "partners": torch.cat([given["partners"], given["anchors"]]),
        "partner_classes": torch.cat([given["partner_classes"], given["anchor_classes"]]),
    }
    own = torch.cat([torch.zeros(5, 9, dtype=torch.bool), torch.eye(5, dtype=torch.bool)], dim=1)
    alone = torch.cat([torch.zeros(5, 9, dtype=torch.bool), torch.ones(5, 5, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(loss(denominator, **more, own=alone), loss(denominator, **given))
    assert (loss(denominator, **more, own=own) < loss(denominator, **more)).all()  # its own view is the nearest of all


def test_partners_can_be_held() -> None:
    given = drawn(6)
    anchors, partners = given["anchors"].requires_grad_(), given["partners"].requires_grad_()
    both = torch.autograd.grad(loss(**given).sum(), (anchors, partners))
    held = torch.autograd.grad(loss(**given, detach_partners=True).sum(), (anchors, partners), allow_unused=True)
    torch.testing.assert_close(held[0], both[0])
    assert held[1] is None
    assert both[1].any()


def test_the_push_without_classes_is_that_of_one_class() -> None:
    """Beside a partner of another class that stands at a right angle, there is nothing else in the loss."""
    given = drawn(7, width=3)
    level = lambda x: torch.cat([x, torch.zeros(len(x), 1, dtype=x.dtype)], dim=1)  # noqa: E731
    across = torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64)
    whole = contrastive_unlearning(
        level(given["anchors"]), torch.zeros(5), torch.cat([level(given["partners"]), across]),
        torch.tensor([0] * 9 + [1]),
    )  # fmt: skip
    torch.testing.assert_close(push_apart(given["anchors"], given["partners"]), whole - math.log(9))


def test_half_precision_is_summed_in_float32() -> None:
    given = {name: value.bfloat16() if value.is_floating_point() else value for name, value in drawn(8).items()}
    found = loss(**given)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


def test_an_unknown_denominator_is_said() -> None:
    with pytest.raises(ValueError, match="denominator='both': give one of same, all"):
        loss("both")
