"""Measures that ask for more than logits, given by class path in tests; kept out of the package."""

from __future__ import annotations

from typing import Any, ClassVar

from lightning_untrac.metrics import Measure, Measured


class HiddenSize(Measure):
    """Mean square of the last hidden states at the places of targets."""

    name = "test_hidden_size"
    needs: ClassVar = frozenset({"hidden_states"})

    def __call__(self, seen: Any) -> Measured:
        counts = seen.losses[1]
        return Measured(seen.example_sums(seen.hidden_states[-1][seen.places].square().mean(-1)) / counts, counts)


class HiddenShift(Measure):
    """Mean squared distance of the last hidden states from those before unlearning."""

    name = "test_hidden_shift"
    needs: ClassVar = frozenset({"hidden_states", "reference_hidden_states"})

    def __call__(self, seen: Any) -> Measured:
        moved = (seen.hidden_states[-1] - seen.reference_hidden_states[-1])[seen.places].square().mean(-1)
        return Measured(seen.example_sums(moved) / seen.losses[1], seen.losses[1])


class LikelihoodFall(Measure):
    """By how much a text's log-probability has fallen since before unlearning."""

    name = "test_likelihood_fall"
    needs: ClassVar = frozenset({"reference_log_probs"})

    def __call__(self, seen: Any) -> Measured:
        return Measured(seen.reference_log_probs - seen.log_probs, seen.losses[1])
