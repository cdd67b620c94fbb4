"""Scores of single examples that tell members, against golden values and numpy."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from lightning_untrac.functional.min_k import lowest_mean
from lightning_untrac.functional.standardised import standardised_log_probs
from lightning_untrac.functional.zlib_score import compressed_bytes, zlib_scores
from lightning_untrac.outputs import Outputs

B, T, V = 2, 5, 6


@pytest.fixture
def golden() -> Outputs:
    """The batch of the golden values: five target tokens in two sequences, with prompts and padding."""
    b, t, v = np.ogrid[:B, :T, :V]
    logits = torch.from_numpy(2 * np.sin(1 + 3 * b + 1.7 * t + 2.3 * v))
    labels = torch.tensor([[-100, -100, 2, 4, 1], [-100, 3, 5, -100, -100]])
    return Outputs(logits, torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100))


def test_golden_values(golden: Outputs) -> None:
    """The five tokens as one sequence."""
    losses, z = golden.target_losses, standardised_log_probs(golden.target_logits, golden.target_ids)
    every = torch.ones(1, 5, dtype=torch.bool)
    assert -lowest_mean(-losses[None], every, 0.4).item() == pytest.approx(4.46001321, abs=1e-8)
    np.testing.assert_allclose(z, [0.21495093, 0.76649151, 0.76828818, -4.24061392, -4.04314195], atol=1e-8)
    assert -lowest_mean(z[None], every, 0.4).item() == pytest.approx(4.14187794, abs=1e-8)
    size = len(zlib.compress(b"abcabcabc" * 10))
    assert zlib_scores(torch.tensor([1.5]), ["abcabcabc" * 10]).item() == pytest.approx(1.5 / size)
    assert compressed_bytes("naïve \ud800") > 8  # half a character of a byte tokenizer


def test_pieces_and_precision_change_little(golden: Outputs) -> None:
    logits, targets = golden.target_logits, golden.target_ids
    whole = standardised_log_probs(logits, targets)
    assert torch.equal(standardised_log_probs(logits, targets, piece=1), whole)
    np.testing.assert_allclose(standardised_log_probs(logits.float(), targets), whole, atol=1e-5)


def test_certain_uniform_and_impossible_tokens_stay_finite_and_nan_stays_nan() -> None:
    sure = torch.tensor([[0.0, -80.0, -80.0]], dtype=torch.float64)
    assert standardised_log_probs(sure, torch.tensor([0])).item() == pytest.approx(0, abs=1e-9)
    assert standardised_log_probs(sure, torch.tensor([1])).item() == pytest.approx(-80e3, rel=1e-6)
    assert standardised_log_probs(torch.zeros(1, 7), torch.tensor([3])).abs().item() < 1e-3
    banned = torch.tensor([[0.75, 0.25, 0.0]]).log()
    assert standardised_log_probs(banned, torch.tensor([0])).item() == pytest.approx(3**-0.5, rel=1e-6)
    assert standardised_log_probs(banned, torch.tensor([2])).item() == -torch.inf
    assert standardised_log_probs(banned * torch.nan, torch.tensor([0])).isnan()


def test_the_share_is_rounded_down_and_takes_one_at_least() -> None:
    values = torch.arange(100.0)[None]
    every = torch.ones(1, 100, dtype=torch.bool)
    for share, count in ((0.29, 29), (0.001, 1), (1, 100), (0.999, 99)):
        assert lowest_mean(values, every, share).item() == pytest.approx((count - 1) / 2)
    some = torch.tensor([[True, False] * 50])
    assert lowest_mean(-values, some, 0.04).item() == pytest.approx(-97)
    assert lowest_mean(values, ~every, 0.5).isnan()
    broken = values.clone()
    broken[0, 3] = torch.nan
    assert lowest_mean(broken, every, 0.01).isnan()
    assert lowest_mean(broken, some, 0.01).item() == 0  # where it doesn't count
