"""Every forget and retain term on bare tensors, against values that another implementation printed.

The values were held against the authors' own code where there is one: two sequences of five positions over six tokens,
with a prompt, padding and targets of unlike number, in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from lightning_untrac import objectives
from lightning_untrac.functional import distributions, preference, token_weights
from lightning_untrac.functional.hidden_states import random_direction, state_distance
from lightning_untrac.functional.loss import shift_labels_left
from lightning_untrac.functional.retention import token_divergence_sum
from lightning_untrac.objectives import Outputs, Seen

B, T, V = 2, 5, 6
b, t, v = np.ogrid[:B, :T, :V]
NOW = torch.tensor(2 * np.sin(1 + 3 * b + 1.7 * t + 2.3 * v))
BEFORE = torch.tensor(2 * np.cos(0.5 + 2 * b + 1.1 * t + 1.9 * v))
LABELS = torch.tensor([[-100, -100, 2, 4, 1], [-100, 3, 5, -100, -100]])
OTHER_NOW = torch.tensor(2 * np.sin(0.3 + b + 0.9 * t + 1.3 * v))
OTHER_BEFORE = torch.tensor(2 * np.cos(0.2 + b + 0.7 * t + 2.9 * v))
OTHER_LABELS = torch.tensor([[-100, -100, 0, 3, 5], [-100, 1, 2, -100, -100]])


def outputs(now: torch.Tensor = NOW, before: torch.Tensor = BEFORE, labels: torch.Tensor = LABELS) -> Outputs:
    targets = shift_labels_left(labels)
    found = Outputs(now.clone().requires_grad_(), targets, {"labels": labels}, reference_logits=before)
    found.reference_log_probs = Outputs(before, targets).log_probs
    return found


GOLDEN: list[tuple[Any, dict[str, Any], float]] = [
    ("GradientAscent", {}, -2.27842918),
    ("ClampedAscent", {"cap": math.log(6)}, -1.21112768),
    ("NPO", {"beta": 0.1}, 13.64382751),
    ("NPO", {"beta": 0.5}, 3.92435838),
    ("SimNPO", {"beta": 4.5}, 0.00538362),
    ("SimNPO", {"beta": 3.5, "margin": 1.0}, 0.29936077),
    ("SimNPO", {"beta": 2.5}, 0.04798603),
    ("TokenNPO", {"beta": 4.0}, 1.50356260),
    ("WeightedTokenNPO", {"beta": 4.0, "alpha": 0.0}, -0.65659032),
    ("WeightedTokenNPO", {"beta": 4.0, "alpha": 1.5}, -0.19941394),
    ("WGA", {"beta": 1.0}, -0.23241417),
    ("SatImp", {"known": 5.0, "unsure": 1.0}, -0.00498468),
    ("CEU", {}, 1.61091572),
    ("UNDIAL", {"beta": 10.0}, 2.28116249),
    ("MaximumEntropy", {}, 0.78767584),
    ("KLToUniform", {}, 0.53176128),
    ("JensUn", {}, 0.44673584),
    ("PDU", {}, 3.44962592),
    ("RetainKL", {}, 0.93495903),
    ("RetainJSD", {}, 0.17975703),
    ("RetainLoss", {}, 2.27842918),
    ("RetainBound", {"multiplier": 1.0}, 2.27842918),
]


def made(name: str, settings: dict[str, Any]) -> Any:
    term = getattr(objectives, name)(**settings)
    if name == "JensUn":
        term.load_state_dict({"tokens": [0, 4]})  # stand for the two of " No idea"
    return term


@pytest.mark.parametrize(("name", "settings", "value"), GOLDEN, ids=[f"{n}-{s}" for n, s, _ in GOLDEN])
def test_the_value_is_the_one_that_others_get(name: str, settings: dict[str, Any], value: float) -> None:
    seen = Seen(outputs(), retain=outputs())
    term = made(name, settings)(seen)
    assert term.mean.item() == pytest.approx(value, abs=5e-9)
    term.mean.backward()
    stream = seen.retain if name.startswith("Retain") else seen.forget
    assert stream is not None
    gradient = stream.logits.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert not gradient[shift_labels_left(LABELS) == -100].any()  # prompts and padding never count


@pytest.mark.parametrize(("name", "settings", "value"), GOLDEN, ids=[f"{n}-{s}" for n, s, _ in GOLDEN])
def test_padding_and_prompts_change_nothing(name: str, settings: dict[str, Any], value: float) -> None:
    noise = torch.full((B, 3, V), 7.0, dtype=torch.float64)
    labels = torch.cat([LABELS, torch.full((B, 3), -100)], dim=1)
    longer = outputs(torch.cat([NOW, noise], 1), torch.cat([BEFORE, -noise], 1), labels)
    prompts = NOW.clone()
    prompts[shift_labels_left(LABELS) == -100] *= -3
    for one in (longer, outputs(prompts)):
        term = made(name, settings)(Seen(one, retain=one))
        assert term.mean.item() == pytest.approx(value, abs=5e-9)


@pytest.mark.parametrize(("name", "settings", "value"), GOLDEN, ids=[f"{n}-{s}" for n, s, _ in GOLDEN])
def test_parts_sum_up_to_the_whole(name: str, settings: dict[str, Any], value: float) -> None:
    term = made(name, settings)
    ones = [outputs(NOW[i : i + 1], BEFORE[i : i + 1], LABELS[i : i + 1]) for i in (0, 1)]
    parts = [term(Seen(one, retain=one)) for one in ones]
    tokens, sequences = 5, 2
    count = {"token": tokens, "sequence": sequences, "later_token": tokens - sequences}[term.unit]
    assert sum(int(part.count) for part in parts) == count
    assert sum(part.total.item() for part in parts) / count == pytest.approx(value, abs=5e-9)


def test_direct_preference() -> None:
    chosen, rejected = outputs(OTHER_NOW, OTHER_BEFORE, OTHER_LABELS), outputs()
    values = preference.dpo(
        chosen.log_probs, chosen.reference_log_probs, rejected.log_probs, rejected.reference_log_probs, beta=0.1
    )
    assert values.mean().item() == pytest.approx(13.66632910, abs=5e-9)
    term = objectives.DPO(0.1)(Seen(rejected, alternative=chosen))
    assert term.mean.item() == pytest.approx(13.66632910, abs=5e-9)


def test_an_answer_over_a_refusal() -> None:
    refusal, answer = outputs(OTHER_NOW, OTHER_BEFORE, OTHER_LABELS), outputs()
    seen = Seen(outputs(), retain=answer, retain_alternative=refusal)
    assert objectives.RetainAnswer(beta=0.1)(seen).mean.item() == pytest.approx(6.49472577, abs=5e-9)


def test_the_divergence_from_one_token_is_the_one_of_whole_distributions() -> None:
    log_p = distributions.log_probabilities(NOW[0])
    certain = torch.full_like(log_p, -math.inf)
    certain[:, 3] = 0.0
    expected = distributions.jensen_shannon(certain, log_p)
    torch.testing.assert_close(distributions.jensen_shannon_to_token(-log_p[:, 3]), expected, rtol=1e-12, atol=0)
    assert distributions.jensen_shannon_to_token(torch.tensor(math.inf)).item() == pytest.approx(math.log(2))
    assert distributions.jensen_shannon_to_token(torch.tensor(0.0)).item() == 0


def test_token_wise_npo_and_its_weighted_form_have_one_gradient() -> None:
    now = torch.linspace(0.1, 4, 7, dtype=torch.float64, requires_grad=True)
    before = torch.linspace(3, 0.2, 7, dtype=torch.float64)
    (one,) = torch.autograd.grad(preference.npo(-now, -before, beta=4.0).sum(), now)
    (other,) = torch.autograd.grad(token_weights.weighted_token_npo(now, before, beta=4.0, alpha=0.0).sum(), now)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_npo_becomes_gradient_ascent_as_beta_goes_to_0() -> None:
    log_probs = torch.tensor([-2.0, -9.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-5.0, -4.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(preference.npo(log_probs, reference, beta=1e-7).sum(), log_probs)
    torch.testing.assert_close(gradient, torch.ones(2, dtype=torch.float64), rtol=1e-5, atol=0)


def test_npo_has_the_weight_that_the_paper_gives() -> None:
    log_probs = torch.tensor([-2.0, -9.0, -0.1], dtype=torch.float64, requires_grad=True)
    reference, beta = torch.tensor([-5.0, -4.0, -3.0], dtype=torch.float64), 0.3
    (gradient,) = torch.autograd.grad(preference.npo(log_probs, reference, beta).sum(), log_probs)
    p, q = (beta * log_probs.detach()).exp(), (beta * reference).exp()
    torch.testing.assert_close(gradient, 2 * p / (p + q), rtol=1e-12, atol=0)


def test_the_counterfactual_gradient_is_the_one_of_the_formula() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    value = distributions.counterfactual_cross_entropy(logits, torch.tensor([0])).sum()
    (gradient,) = torch.autograd.grad(value, logits)
    p = logits.detach().softmax(-1)
    aim = logits.detach().clone()
    aim[0, 0] = -math.inf
    torch.testing.assert_close(gradient, p - aim.softmax(-1), rtol=1e-12, atol=1e-14)


def test_logits_of_minus_infinity_are_tokens_that_can_not_come() -> None:
    """Some models mask a part of their vocabulary; neither a value nor a gradient may become NaN by it."""
    logits = torch.tensor([[2.0, 0.0, -math.inf, 0.5]], dtype=torch.float64)
    before = torch.tensor([[1.0, 0.5, -math.inf, 0.0]], dtype=torch.float64)
    target = torch.tensor([0])
    log_before = distributions.log_probabilities(before)
    for function in (
        lambda x: distributions.jensen_shannon(log_before, distributions.log_probabilities(x)),
        lambda x: distributions.counterfactual_cross_entropy(x, target),
        lambda x: distributions.self_distillation(x, before, target, 3.0),
        lambda x: token_divergence_sum(before[None], x[None], target[None])[0],
        lambda x: distributions.kl_to_uniform(x),
        lambda x: distributions.logit_margin(x),
        lambda x: distributions.jensen_shannon_to_token(-distributions.log_probabilities(x)[:, 2]),
    ):
        x = logits.clone().requires_grad_()
        value = function(x).sum()
        value.backward()
        assert value.isfinite()
        assert x.grad is not None
        assert x.grad.isfinite().all()


def test_the_bounds_of_jensen_shannon() -> None:
    one, other = torch.tensor([[1.0, 0, 0]]).double().log(), torch.tensor([[0, 0.5, 0.5]]).double().log()
    assert distributions.jensen_shannon(one, other).item() == pytest.approx(math.log(2))
    assert distributions.jensen_shannon(one, one).item() == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: preference.npo(x[:, 0], x[:, 1], 0.3),
        lambda x: preference.simnpo(x[:, 0], 2.0, 0.1),
        lambda x: preference.dpo(x[:, 0], x[:, 1], x[:, 2], x[:, 3], 0.2),
        lambda x: preference.answer_preference(x[:, 0], x[:, 1], 0.2),
        lambda x: distributions.kl_from_uniform(x),
        lambda x: distributions.logit_margin(x),
        lambda x: distributions.jensen_shannon_to_token(x.exp()),
        lambda x: state_distance(x, random_direction(5, 1)),
        lambda x: distributions.self_distillation(x, torch.ones_like(x), torch.tensor([0, 2]), 3.0),
        lambda x: distributions.jensen_shannon(torch.full_like(x, 0.2).log(), distributions.log_probabilities(x)),
    ],
)
def test_gradients_are_those_of_finite_differences(function: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x,))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("NPO", {"beta": 0}), ("SimNPO", {"beta": -1}), ("SimNPO", {"margin": -0.1}), ("TokenNPO", {"beta": math.inf}),
        ("WeightedTokenNPO", {"alpha": -1}), ("WGA", {"beta": -1}), ("SatImp", {"unsure": math.nan}),
        ("UNDIAL", {"beta": -1}), ("RMU", {"coefficient": 0}), ("RetainBound", {"bound": -1}), ("SAM", {"rho": 0}),
        ("RetainBound", {"rate": 0}), ("RetainBound", {"multiplier": -1}), ("RetainBound", {"examples": 0}),
        ("NPO", {"weight": -1}), ("L2Anchor", {"weight": math.nan}),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{name}.*give a finite number"):
        getattr(objectives, name)(**settings)
