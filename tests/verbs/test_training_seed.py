"""One flag means another training."""

from __future__ import annotations

import pytest

from lightning_untrac.config.recipes import resolve_stages
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore

STAGES = [
    {"pretrain": {"steps": 2}},
    {"trace": {"method": "untrac", "steps": 1, "readings": 1}},
    {"leave-out": {"seeds": [5]}},
    {"unlearn": {"forget": "birds"}},
    {"report": None},
]


def resolved(recipe, flags):
    return [(stage.verb, stage.config) for stage in resolve_stages(recipe, flags)]


def test_every_seed_that_is_not_given_follows(recipe_content):
    steps = dict(resolved({**recipe_content, "stages": STAGES}, ["--training_seed", "3"]))
    assert steps["pretrain"]["seed"] == 3
    assert steps["pretrain"]["model"]["init_seed"] == 3
    assert steps["trace"]["seeds"] == [3]
    assert steps["leave-out"]["seeds"] == [5]  # the recipe names it
    assert steps["unlearn"]["seed"] == 3
    assert steps["report"] == {}
    given = dict(resolved({**recipe_content, "stages": STAGES}, ["--training_seed=3", "--model.init_seed", "1"]))
    assert given["pretrain"]["model"]["init_seed"] == 1
    assert dict(resolved({**recipe_content, "stages": STAGES}, [])) == dict(
        resolved({**recipe_content, "stages": STAGES, "training_seed": None}, [])
    )
    in_recipe = resolved({**recipe_content, "stages": STAGES, "training_seed": 4}, ["--seeds", "[0,1]"])
    assert dict(in_recipe)["trace"]["seeds"] == [0, 1]
    assert dict(in_recipe)["pretrain"]["seed"] == 4


@pytest.mark.parametrize("value", ["-1", "1.5", "one", str(2**32)])
def test_what_is_no_seed(recipe_content, value):
    with pytest.raises(ConfigurationError, match="training_seed: got"):
        resolve_stages(recipe_content, [f"--training_seed={value}"])


def test_another_training_is_another_model(untrac, recipe, tmp_path):
    weights = []
    for seed in (0, 1):
        out = tmp_path / str(seed)
        ran = untrac("run", recipe(stages=STAGES[:2]), "--output", out, "--training_seed", seed)
        assert ran.code == 0, ran.text
        weights.append([(out / name / "model.safetensors").read_bytes() for name in ("initial_model", "model")])
        assert {row.seed for row in InfluenceStore(out).rows()} == {seed}
    assert weights[0][0] != weights[1][0]
    assert weights[0][1] != weights[1][1]
