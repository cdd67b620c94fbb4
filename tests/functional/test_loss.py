from __future__ import annotations

import math

import pytest
import torch

from lightning_untrac.functional import (
    IGNORE_INDEX,
    example_losses,
    mean_token_loss,
    read_out,
    shift_labels_left,
    sum_by_dataset,
    tensor_checksum,
)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 7, generator=generator) * 4
    targets = torch.randint(0, 7, (3, 5), generator=generator)
    targets[0, 3:] = IGNORE_INDEX
    targets[2, :] = IGNORE_INDEX
    return logits, targets


def by_hand(logits: torch.Tensor, targets: torch.Tensor) -> tuple[list[float], list[int]]:
    sums, counts = [], []
    for rows, labels in zip(logits.double().tolist(), targets.tolist(), strict=True):
        losses = [
            math.log(sum(math.exp(x) for x in row)) - row[label]
            for row, label in zip(rows, labels, strict=True)
            if label != IGNORE_INDEX
        ]
        sums.append(sum(losses))
        counts.append(len(losses))
    return sums, counts


def test_example_losses_are_the_sums_by_hand(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    sums, counts = example_losses(*batch)
    expected_sums, expected_counts = by_hand(*batch)
    assert sums.dtype == torch.float64
    assert counts.tolist() == expected_counts == [3, 5, 0]
    assert sums.tolist() == pytest.approx(expected_sums, rel=1e-6)


def test_mean_token_loss_is_one_sum_over_one_count(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    sums, counts = by_hand(*batch)
    assert mean_token_loss(*batch).item() == pytest.approx(sum(sums) / sum(counts), rel=1e-6)


def test_a_batch_without_targets_has_loss_and_gradient_zero() -> None:
    logits = torch.randn(1, 2, 3, requires_grad=True)
    loss = mean_token_loss(logits, torch.full((1, 2), IGNORE_INDEX))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_lose_only_their_own_rounding(dtype: torch.dtype) -> None:
    logits = (torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(1)) * 10).to(dtype)
    targets = torch.randint(0, 50, (2, 3), generator=torch.Generator().manual_seed(2))
    sums, _ = example_losses(logits, targets)
    assert sums.tolist() == pytest.approx(by_hand(logits, targets)[0], rel=1e-6)


def test_shifted_labels_pair_each_position_with_its_next_token() -> None:
    labels = torch.tensor([[3, 1, IGNORE_INDEX, 2]])
    assert shift_labels_left(labels).tolist() == [[1, IGNORE_INDEX, 2, IGNORE_INDEX]]


def test_a_loss_of_infinity_stays_in_its_dataset() -> None:
    values = torch.tensor([1.0, math.inf, 2.0], dtype=torch.float64)
    assert sum_by_dataset(values, torch.tensor([0, 1, 0]), 2).tolist() == [3.0, math.inf]


def test_readouts_of_tensors_and_floats_agree() -> None:
    before, after = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
    for readout in ("difference", "example", "relative"):
        many = read_out(before, after, readout)  # type: ignore[arg-type]
        assert many.tolist() == pytest.approx([read_out(1.0, 3.0, readout), read_out(2.0, 1.0, readout)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one of difference"):
        read_out(1.0, 2.0, "ratio")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_checksum_changes_with_a_single_bit(dtype: torch.dtype) -> None:
    tensor = torch.ones(3, 4).to(dtype)
    changed = tensor.clone()
    changed.view(-1).view(torch.uint8)[5] ^= 1
    assert tensor_checksum([("a", tensor)]) != tensor_checksum([("a", changed)])
    assert tensor_checksum([("a", tensor)]) == tensor_checksum([("a", tensor.t().contiguous().t())])


def test_checksum_tells_zero_from_minus_zero() -> None:
    assert tensor_checksum([("a", torch.tensor([0.0]))]) != tensor_checksum([("a", torch.tensor([-0.0]))])


# -- pieces over tokens ------------------------------------------------------------------------------------------------


def taken_whole(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean as torch alone makes it."""
    flat = logits.flatten(0, 1)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    total = torch.nn.functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (targets != IGNORE_INDEX).sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_pieces_give_the_same_bits(dtype: torch.dtype, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_untrac.functional.token_losses import token_losses

    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(2, 40, 517, generator=generator) * 4).to(dtype)
    targets = torch.randint(0, 517, (2, 40), generator=generator)
    targets[0, 3:9] = IGNORE_INDEX
    monkeypatch.setattr(token_losses, "__defaults__", (rows * 517,))
    one, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    expected, found = taken_whole(one, targets), mean_token_loss(other, targets)
    expected.backward()
    found.backward()
    assert torch.equal(found, expected)
    assert one.grad is not None
    assert other.grad is not None
    assert torch.equal(other.grad, one.grad)
    sums, _ = example_losses(logits, targets)
    assert sums.sum().item() == pytest.approx(expected.item() * int((targets != IGNORE_INDEX).sum()), rel=1e-6)


def test_pieces_have_second_derivatives_and_single_gradients() -> None:
    from lightning_untrac.functional.token_losses import token_losses

    logits = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.tensor([0, 4, IGNORE_INDEX, 2, 2, 1])
    assert torch.autograd.gradcheck(lambda x: token_losses(x, targets, 10), logits)
    assert torch.autograd.gradgradcheck(lambda x: token_losses(x, targets, 10), logits)
    one_each = torch.func.vmap(torch.func.grad(lambda x, t: token_losses(x[None], t[None], 1)[0]))
    expected = torch.autograd.grad(token_losses(logits, targets, 10).sum(), logits)[0]
    assert torch.allclose(one_each(logits.detach(), targets), expected)
