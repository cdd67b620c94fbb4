"""Levels of unseen text, groups, and what a measure against retrained models is given, from arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lightning_untrac.functional.outliers import unseen_level
from lightning_untrac.metrics.against import AGAINST, Sequences
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.memorised_data import KNOWN, LOSS, Memorised, Read, seeds_of_one
from lightning_untrac.runs.outliers import levels_of, sides_of

MODELS = Compared("o", ["u-seed-0", "u-seed-1", "v"], {0: "r0", 1: "r1"})


def read(name: str, count: int, groups: Any = None, seed: int = 0) -> Read:
    chance = np.random.default_rng((seed, count))
    values = {path: {KNOWN: chance.random(count), LOSS: chance.gamma(4.0, 0.5, count)} for path in MODELS.every}
    return Read(name, np.arange(count) * 2, chance.integers(5, 20, count).astype(float), groups, values)


@pytest.fixture
def memorised() -> Memorised:
    groups = ("random 1", "random 4", "secret 1", "secret 4", "random 1", "odd")
    twins = [read("a", 5, ("random", "secret", "random", "random", "secret"), 1), read("b", 2, None, 2)]
    return Memorised(MODELS, read("f", 6, groups), twins)


def test_all_twins_stand_for_all_sequences_unless_groups_stand_by_themselves(memorised: Memorised) -> None:
    ((sequences, twins),) = memorised.parts()
    assert (sequences.tolist(), twins.tolist()) == (list(range(6)), list(range(7)))
    by_group = Memorised(memorised.models, memorised.forget, memorised.twins, by_group=True)
    assert [(one.tolist(), other.tolist()) for one, other in by_group.parts()] == [
        ([0, 4], [0, 2, 3]), ([1], [0, 2, 3]), ([2], [1, 4]), ([3], [1, 4]), ([5], list(range(7))),
    ]  # fmt: skip


@pytest.mark.parametrize("level_of", ["retrained", "twins", "own"])
def test_each_level_is_of_its_texts_and_its_models(memorised: Memorised, level_of: Any) -> None:
    def known(models: list[str], reads: list[Read]) -> np.ndarray:
        return np.concatenate([one.values[path][KNOWN] for path in models for one in reads])

    expected = {
        "retrained": known(["r0", "r1"], [memorised.forget]),
        "twins": known(["r0", "r1"], list(memorised.twins)),
        "own": known(["v"], list(memorised.twins)),
    }[level_of]
    levels, level = levels_of(memorised, "v", KNOWN, level_of), unseen_level(expected)
    assert levels.mean.tolist() == [level.mean] * 6
    assert (levels.low.tolist(), levels.high.tolist()) == ([level.low] * 6, [level.high] * 6)


def test_each_sequence_beside_itself_with_the_noise_of_all_or_of_its_group(memorised: Memorised) -> None:
    never = np.stack([memorised.forget.values[path][KNOWN] for path in ("r0", "r1")])
    levels = levels_of(memorised, "v", KNOWN, "sequence")
    np.testing.assert_allclose(levels.mean, never.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(levels.high - levels.mean, 2 * np.sqrt(never.var(axis=0, ddof=1).mean() * 1.5))
    by_group = Memorised(memorised.models, memorised.forget, memorised.twins, by_group=True)
    of_two = levels_of(by_group, "v", KNOWN, "sequence")
    np.testing.assert_allclose((of_two.high - of_two.mean)[1], 2 * np.sqrt(never[:, 1].var(ddof=1) * 1.5))


def test_a_lower_loss_is_known_better(memorised: Memorised) -> None:
    for measure, sign in ((LOSS, -1), (KNOWN, 1)):
        levels = levels_of(memorised, "v", measure, "retrained")
        mean, low, high = (float(end[0]) for end in levels)
        memorised.forget.values["v"][measure][:] = [low - 1, high + 1, mean, low, high, mean]
        assert (sign * sides_of(memorised, "v", measure, levels)).tolist() == [-1, 1, 0, -1, 1, 0]


def test_what_is_judged_and_what_stands_beside_it(memorised: Memorised) -> None:
    judged = list(memorised.judged())
    assert [(name, role) for name, role, _ in judged] == [
        ("o", "original"), ("u-seed-0", "unlearned"), ("u-seed-1", "unlearned"), ("v", "unlearned"),
        ("u-seed-*", "seeds"), ("r0", "retrained"), ("r1", "retrained"),
    ]  # fmt: skip
    forget = memorised.forget
    seen = {name: memorised.sequences(role, paths) for name, role, paths in judged}
    np.testing.assert_allclose(seen["v"].losses, forget.values["v"][LOSS])
    np.testing.assert_allclose(seen["v"].log_probs[0], -forget.values["v"][LOSS] * forget.tokens)
    assert seen["u-seed-*"].log_probs.shape == seen["v"].retrained_log_probs.shape == (2, 6)
    np.testing.assert_allclose(seen["r0"].retrained_known, [forget.values["r1"][KNOWN]])
    assert len(seen["u-seed-*"].unseen_losses) == 0
    assert seen["v"].unseen_losses.tolist() == [
        *memorised.twins[0].values["v"][LOSS], *memorised.twins[1].values["v"][LOSS]
    ]  # fmt: skip


def test_scores_of_neighbours_are_those_of_the_sequences_with_targets(memorised: Memorised) -> None:
    scores = {"v": {"f": np.arange(12.0), "a": 100 + np.arange(10.0), "b": 200 + np.arange(4.0)}}
    with_scores = Memorised(memorised.models, memorised.forget, memorised.twins, scores=scores)
    seen = with_scores.sequences("unlearned", ["v"])
    assert seen.neighbourhood is not None
    assert seen.unseen_neighbourhood is not None
    assert seen.neighbourhood.tolist() == [0, 2, 4, 6, 8, 10]
    assert seen.unseen_neighbourhood.tolist() == [100, 102, 104, 106, 108, 200, 202]
    assert with_scores.sequences("original", ["o"]).neighbourhood is None


def test_seeds_are_told_by_the_ending_of_their_names() -> None:
    assert seeds_of_one(["x/a-seed-0", "x/a-seed-10", "x/b-seed-1", "x/a", "x/seed-3"]) == {
        "x/a-seed-*": ["x/a-seed-0", "x/a-seed-10"]
    }


def test_each_measure_says_what_it_is_and_asks_for_what_it_needs(memorised: Memorised) -> None:
    from lightning_untrac.results.measures import measure_text

    alone = Memorised(Compared("o", ["v"], {0: "r0"}), memorised.forget, ())
    poor = alone.sequences("retrained", ["r0"])  # nothing beside it, and no twins
    rich = memorised.sequences("unlearned", ["v"])
    for name, cls in AGAINST.items():
        text = measure_text(name)
        assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source]), name
        assert not cls().suits(poor) or not cls.needs
        if cls().suits(rich):
            values = cls()(rich)
            assert values.shape == (6,)
            assert [one.statistic for one in cls().statistics(values, rich)]
    assert {name for name, cls in AGAINST.items() if cls().suits(poor)} == {"relex_original_sum"}


def test_order_of_models_and_of_sequences_changes_no_value(memorised: Memorised) -> None:
    seen = memorised.sequences("seeds", ["u-seed-0", "u-seed-1"])
    turned = Sequences(
        seen.role, seen.log_probs[::-1, ::-1], seen.tokens[::-1], seen.known[::-1, ::-1],
        seen.retrained_log_probs[::-1, ::-1], seen.retrained_known[::-1, ::-1], seen.original_log_probs[::-1],
        seen.original_known[::-1], seen.unseen_losses,
    )  # fmt: skip
    for cls in AGAINST.values():
        if cls().suits(seen):
            np.testing.assert_allclose(cls()(turned)[::-1], cls()(seen), err_msg=cls.name)
