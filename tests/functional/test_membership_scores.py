"""Scores of single examples that tell members, against golden values and numpy."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from lightning_untrac.functional.min_k import lowest_mean
from lightning_untrac.functional.standardised import standardised_log_probs
from lightning_untrac.functional.token_losses import IGNORE_INDEX, token_losses
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


def test_known_losses_give_the_same_and_what_is_impossible_adds_nothing() -> None:
    """Against a plain sum in float64, in each dtype, with tokens that the model forbids."""
    drawn = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 300, generator=drawn, dtype=torch.float64)
    logits[:, ::7] = -torch.inf
    logits[10:20] += 1000  # an offset says nothing, and float32 has few digits left of it
    logits[5:10] *= 60  # whose least likely tokens have no probability in any dtype
    targets = torch.arange(40) + 1
    targets[:3] = IGNORE_INDEX
    for dtype, close in ((torch.float64, 1e-9), (torch.float32, 1e-4), (torch.bfloat16, 1e-4)):
        given = logits.to(dtype)
        log_probs = torch.log_softmax(given.double(), 1)
        probs, finite = log_probs.exp(), log_probs.clamp(min=-1e6)
        mean = (probs * finite).sum(1)
        deviation = (probs * (finite - mean[:, None]) ** 2).sum(1).clamp(min=1e-6).sqrt()
        expected = (log_probs.gather(1, targets.clamp(min=0)[:, None])[:, 0] - mean) / deviation
        expected[:3] = 0
        found = standardised_log_probs(given, targets)
        np.testing.assert_allclose(found, expected, rtol=close, atol=close)
        assert torch.equal(standardised_log_probs(given, targets, token_losses(given, targets), piece=1000), found)
    assert found.isneginf().any()


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
