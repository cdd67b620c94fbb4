"""Sentences on unlearning depth, from scores and effects whose meaning is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lightning_untrac.examinations.depth_said import Depths, depth_said, holding_layers
from lightning_untrac.functional.depth import unlearning_depth
from lightning_untrac.functional.uncertainty import Floats

EXAMPLES, LAYERS = 40, 6


def effect(seed: int, scale: float = 1.0) -> Floats:
    """Rising with the layer, and alike for every seed but for a little."""
    common = np.random.default_rng(0).uniform(0.5, 1.5, (LAYERS, EXAMPLES)) * np.arange(1, LAYERS + 1)[:, None]
    return scale * common * np.random.default_rng(seed).uniform(0.95, 1.05, (LAYERS, EXAMPLES))


def depths(effects: dict[str, Floats], retrained: list[str]) -> Depths:
    scores = {}
    for model, mine in effects.items():
        others = [other for other in retrained if other != model]
        if others:
            each = [unlearning_depth(mine, effects[other]) for other in others]
            scores[model] = np.mean([one for one, _ in each], axis=0), each[0][1].astype(np.float64)
    return Depths(scores, effects, retrained, 0.05)


@pytest.fixture
def two() -> dict[str, Floats]:
    return {"r/seed-0": effect(1), "r/seed-1": effect(2)}


def test_one_that_kept_its_middle_layers(two: dict[str, Floats]) -> None:
    mine = effect(3)
    mine[2:5] *= 0.3
    found = depths({**two, "runs/unlearned-x": mine}, list(two))
    assert holding_layers(found, "runs/unlearned-x") == [2, 3, 4]
    said = depth_said(found, "runs/unlearned-x")
    assert said.startswith("unlearned-x has forgotten less deeply than each of 2 retrained models: UDS 0.")
    assert ", theirs 0.9" in said
    assert said.endswith("; layers 2 to 4 still hold what retraining takes out.")


def test_another_retraining_can_not_be_told_from_them(two: dict[str, Floats]) -> None:
    found = depths({**two, "r/seed-2": effect(5, 1.1), "unlearned-x": effect(4, 1.02)}, [*two, "r/seed-2"])
    assert holding_layers(found, "unlearned-x") == []
    said = depth_said(found, "unlearned-x")
    assert "can't be told from 3 retrained models by how deep it has forgotten: UDS 0.9" in said


def test_one_that_lost_more(two: dict[str, Floats]) -> None:
    found = depths({**two, "unlearned-x": effect(4, 3.0)}, list(two))
    said = depth_said(found, "unlearned-x")
    assert "has lost more in depth than each of 2 retrained models: UDS 1.00 (1.00 to 1.00), theirs 0.9" in said


def test_a_layer_within_what_retrainings_differ_by_is_not_named(two: dict[str, Floats]) -> None:
    apart = {"r/seed-0": effect(1), "r/seed-1": effect(2, 1.2)}
    for scale, layers in ((0.9, []), (0.6, list(range(LAYERS)))):
        found = depths({**apart, "unlearned-x": effect(3, scale)}, list(apart))
        assert "less deeply than each of 2 retrained models" in depth_said(found, "unlearned-x")
        assert holding_layers(found, "unlearned-x") == layers


def test_what_goes_from_retained_text_as_well_is_not_forgotten(two: dict[str, Floats]) -> None:
    """Models that all know the same, but whose lower layers say it otherwise than the original does."""
    other = np.array([3.0, 2.0, 0.0, 0.0, 0.0, 0.0])[:, None]
    found = depths({**{name: one + other for name, one in two.items()}, "unlearned-x": effect(3)}, list(two))
    assert holding_layers(found, "unlearned-x") == [0, 1]
    rng = np.random.default_rng(3)
    kept = {name: other * (name[0] != "u") + rng.normal(0, 0.01, (LAYERS, 25)) for name in found.effects}
    found = replace(found, control="news", controls=kept)
    assert holding_layers(found, "unlearned-x") == []
    assert found.control_share == pytest.approx(5 / (5 + 21), rel=0.1)
    said = depth_said(found, "unlearned-x")
    assert said.endswith(" as much from news, which nobody forgot, so that the score is of more than forgetting.")
    mine = effect(3)
    mine[3] *= 0.5
    assert holding_layers(replace(found, effects={**found.effects, "unlearned-x": mine}), "unlearned-x") == [3]


def test_where_the_control_loses_most_of_it_there_is_no_verdict(two: dict[str, Floats]) -> None:
    mine, path = effect(3, 0.3), "runs/unlearned-x"
    found = depths({**two, path: mine}, list(two))
    kept = {name: one[:, :25] for name, one in found.effects.items()}
    for scale, silent in ((0.84, True), (0.4, False)):
        share = {name: scale * one for name, one in kept.items()}
        said = depth_said(replace(found, control="wiki", controls=share), path)
        assert ("forgotten less deeply" in said) is not silent
        assert said.endswith("nobody forgot: the score says little here.") is silent
    assert depth_said(replace(found, control="wiki", controls=kept), path).startswith("unlearned-x: UDS 0.")


def test_one_that_forgot_nothing(two: dict[str, Floats]) -> None:
    found = depths({**two, "unlearned-x": effect(4, 0.0)}, list(two))
    assert depth_said(found, "unlearned-x") == "unlearned-x shows no forgetting in depth: UDS 0.00 (0.00 to 0.00)."


def test_what_one_retrained_model_leaves_open(two: dict[str, Floats]) -> None:
    found = depths({"r/seed-0": two["r/seed-0"], "unlearned-x": effect(4)}, ["r/seed-0"])
    assert found.differences("unlearned-x") == []
    assert "; how near to 1 another retraining comes is not known." in depth_said(found, "unlearned-x")


def test_without_examples_or_numbers_little_is_said(two: dict[str, Floats]) -> None:
    def said(values: Floats, weights: Floats) -> str:
        return depth_said(Depths({"u": (values, weights)}, {**two, "u": effect(1)}, list(two), 0.05), "u")

    assert said(np.zeros(3), np.zeros(3)) == ""
    assert said(np.array([np.nan, 1.0]), np.ones(2)) == "u gives no finite numbers, so that it has no UDS."
    assert (
        said(np.array([0.25, 0.0]), np.array([1.0, 0.0])) == "u has a UDS of 0.25 on the one example that has a score."
    )
