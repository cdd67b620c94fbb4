"""Random labels, SCRUB and bad teaching: closed forms, and what stays the same from step to step."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lightning_untrac import Unlearning
from lightning_untrac.functional.relabelling import mixed, other_labels, place_keys
from lightning_untrac.objectives import SCRUB, BadTeacher, Objective, Outputs, RandomLabels, RetainLoss, Seen

LABELS = torch.tensor([[-100, 2, 4, 1], [3, -100, -100, -100], [5, 0, -100, -100]])
NOW = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BEFORE = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def outputs(rows: Any = slice(None)) -> Outputs:
    batch = {"example_index": torch.tensor([11, 4, 7])[rows]}
    return Outputs(NOW[rows].clone().requires_grad_(), LABELS[rows], batch, reference_logits=BEFORE[rows])


def test_the_mixing_is_splitmix64() -> None:
    """The first outputs of the reference code from a state of 0, and from one of 1234567."""
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    keys = torch.tensor([0, -0x61C8864680B583EB])
    assert [value % 2**64 for value in mixed(keys).tolist()] == first
    assert mixed(torch.tensor(1234567)).item() % 2**64 == 6457827717110365317


def test_labels_are_drawn_evenly_from_the_others() -> None:
    labels = torch.arange(60000) % 5
    found = other_labels(labels, torch.arange(60000), outcomes=5)
    pairs = Counter(zip(labels.tolist(), found.tolist(), strict=True))
    assert all(one != other for one, other in pairs)
    expected = 60000 / 20
    chi_square = sum(
        (pairs[one, other] - expected) ** 2 / expected for one in range(5) for other in range(5) if one != other
    )
    assert chi_square < 43.8  # 1 in 1000 of 19 degrees of freedom


def test_with_two_classes_it_is_the_other_one() -> None:
    logits = torch.tensor([[[0.3, 1.7]], [[2.0, -1.0]]], dtype=torch.float64)
    given = Outputs(logits, torch.tensor([[0], [1]]), {"example_index": torch.tensor([0, 1])})
    p = logits.softmax(-1)
    expected = -(p[0, 0, 1].log() + p[1, 0, 0].log()) / 2
    assert RandomLabels()(Seen(given)).mean.item() == pytest.approx(expected.item(), abs=1e-12)
    with pytest.raises(ValueError, match="needs at least 2"):
        other_labels(torch.tensor([0]), torch.tensor([0]), outcomes=1)


def test_a_label_is_that_of_the_example_and_the_seed() -> None:
    def keys(seed: int, rows: Any = slice(None), pad: int = 0) -> list[int]:
        given = outputs(rows)
        places = F.pad(given.places, (0, pad))
        found: list[int] = place_keys(given.batch["example_index"], places, seed).tolist()
        return found

    assert keys(3, [2, 0, 1], pad=5) == [*keys(3)[4:], *keys(3)[:4]]
    assert keys(3) == keys(3, pad=2)
    assert len({*keys(3), *keys(4)}) == 12
    term = RandomLabels()
    term.load_state_dict({"seed": 3})
    drawn = other_labels(outputs().target_ids, torch.tensor(keys(3)), 6)
    expected = F.cross_entropy(NOW[LABELS != -100], drawn)
    assert term(Seen(outputs())).mean.item() == pytest.approx(expected.item(), abs=1e-12)
    parts = [term(Seen(outputs([row]))).total.item() for row in range(3)]
    assert sum(parts) / 6 == pytest.approx(expected.item(), abs=1e-12)


def test_scrub_is_the_divergence_with_its_sign_turned() -> None:
    here = LABELS != -100
    expected = F.kl_div(NOW[here].log_softmax(-1), BEFORE[here].log_softmax(-1), log_target=True, reduction="batchmean")
    given = outputs()
    found = SCRUB()(Seen(given))
    assert found.mean.item() == pytest.approx(-expected.item(), abs=1e-12)
    found.mean.backward()
    assert given.logits.grad is not None
    assert not given.logits.grad[~here].any()
    still = Outputs(BEFORE.clone().requires_grad_(), LABELS, reference_logits=BEFORE)
    SCRUB()(Seen(still)).mean.backward()
    assert still.logits.grad is not None
    assert still.logits.grad.abs().max() < 1e-15


def test_the_bad_teacher_is_the_architecture_with_its_first_weights(model_folders: Any) -> None:
    from transformers import AutoModelForCausalLM

    module = Unlearning(
        model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=BadTeacher(), init_seed=5
    )
    module.configure_model()
    trained = module.model
    assert trained is not None
    ids = torch.tensor([[5, 6, 7, 8]])
    seen = module.see({"input_ids": ids, "labels": ids.clone()})  # type: ignore[typeddict-item]
    assert module.model is trained
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = AutoModelForCausalLM.from_config(trained.config, dtype=torch.float64).eval()
    expected = made(ids).logits
    assert not torch.allclose(expected, seen.forget.logits)
    torch.testing.assert_close(seen.forget.untrained_logits, expected, rtol=0, atol=1e-12)
    p, q = expected[0, :3].log_softmax(-1), seen.forget.logits[0, :3].log_softmax(-1)
    (part,) = module.unlearning_objective(seen)
    assert part.term.mean.item() == pytest.approx((p.exp() * (p - q)).sum(-1).mean().item(), abs=1e-12)
    assert {name for name, _ in module.named_parameters()} == {
        f"model.{name}" for name, _ in trained.named_parameters()
    }


def test_scrub_takes_its_turn_and_ends(make_pairs: Any, model_folders: Any) -> None:
    import every_objective
    from lightning.pytorch.callbacks import Callback

    values: list[float] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            values.append(float(trainer.callback_metrics["train/forget_term"]))

    made = Objective(SCRUB(every=3, max_steps=5), [RetainLoss()])
    every_objective.fit(
        make_pairs(batch_size=2), model_folders("gpt2", "float64"), made,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.5), plan={"steps": 8}, accumulation=2, callbacks=[Watch()],
    )  # fmt: skip
    counted = [step for step in range(8) if min(values[2 * step : 2 * step + 2]) < -1e-9]
    assert counted == [3]  # at step 0 the divergence is 0 still, and step 6 is one too late
    assert all(math.isfinite(value) and value <= 0 for value in values)


def test_scrub_goes_on_where_it_was() -> None:
    one, other = SCRUB(), SCRUB()
    one.after_step(None)  # type: ignore[arg-type]
    assert one.counts is False
    other.load_state_dict(one.state_dict())
    assert other.counts is False
    one.prepare(None)  # type: ignore[arg-type]
    assert one.counts is True


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"SCRUB\(every=0\): give a whole number from 1"):
        SCRUB(every=0)
    with pytest.raises(ValueError, match=r"SCRUB\(max_steps=0\): give a whole number from 1"):
        SCRUB(max_steps=0)
