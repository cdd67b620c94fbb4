"""What the scores of canaries prove about a training: a lower bound on epsilon, as statistics of a measure."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_untrac.functional.canaries import audit_of_sides, epsilon_lower_bound, guesses_among
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.measure import Measure
from lightning_untrac.metrics.summary import Statistic
from lightning_untrac.results.canaries import EPSILON, WRONG


def is_of_one_text(measure: Measure) -> bool:
    """Whether a measure's value of a text hangs on no other text; a rank among unseen texts knows the coins."""
    return "unseen" not in measure.needs


def canary_statistics(entered: Floats, stayed_out: Floats) -> list[Statistic]:
    """A quarter of the canaries, those of the highest scores, are guessed to have entered: what that proves.

    Args:
        entered: scores of the canaries that a coin let in, higher for what looks more like a member; NaN for none.
        stayed_out: of those that it kept out.

    Returns:
        ``epsilon_at_least``, with 95 % confidence (Steinke et al. 2023), and how many guesses were wrong.

    Example:
        >>> import numpy as np
        >>> [(one.statistic, round(one.value, 2), one.unit) for one in canary_statistics(np.ones(50), np.zeros(50))]
        [('epsilon_at_least', 2.06, ''), ('canaries_wrong', 0, 'of 25')]
    """
    found = audit_of_sides(entered, stayed_out)
    return [
        Statistic(EPSILON, found.epsilon, None, None, ""),
        Statistic(WRONG, found.wrong, None, None, f"of {found.guesses}"),
    ]


def canary_note(entered: str, sizes: Sequence[int]) -> str:
    """What so many canaries can prove at most, a sentence.

    Args:
        entered: name of the side that entered.
        sizes: canaries of both sides.
    """
    guesses = guesses_among(sum(sizes))
    most = epsilon_lower_bound(guesses, 0)
    return (
        f"{entered} and its other side are {sum(sizes):,} canaries by coin flip; {guesses:,} guesses that one entered "
        f"bound epsilon from below, by {most:.3g} at most, and by 0 where nothing is shown"
    )
