"""Schedules at the command line: refused before step 0 where they are too short, and as long as their stage."""

from __future__ import annotations

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lightning_untrac.modules import LanguageModule

ONE_CYCLE = "torch.optim.lr_scheduler.OneCycleLR"


def with_schedule(model, steps, kind=ONE_CYCLE, **settings):
    settings = settings or {"max_lr": 0.01, "total_steps": steps, "cycle_momentum": False}
    return {
        **model,
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        "lr_scheduler": {"class_path": kind, "init_args": settings},
    }


@pytest.fixture
def lengths(monkeypatch):
    """How many steps each schedule was made for."""
    seen = []
    init = torch.optim.lr_scheduler.OneCycleLR.__init__

    def spy(self, optimizer, *args, total_steps=None, **kwargs):
        seen.append(total_steps)
        init(self, optimizer, *args, total_steps=total_steps, **kwargs)

    monkeypatch.setattr(torch.optim.lr_scheduler.OneCycleLR, "__init__", spy)
    return seen


def test_a_schedule_shorter_than_the_training(untrac, config, recipe_content, tmp_path):
    path = config(model=with_schedule(recipe_content["model"], 4))
    ran = untrac("pretrain", "--config", path, "--output", tmp_path / "out", "--steps", "6")
    assert ran.code == 2
    assert "model.lr_scheduler: fails after step 5 of 6 (Tried to step 5 times" in ran.text
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("verb", ["trace", "unlearn"])
def test_in_an_episode(untrac, config, model_folders, tmp_path, verb):
    path = config(model=with_schedule({"name_or_path": model_folders("llama")}, 4))
    more = ["--forget", "birds", "--heal_steps", "0"] if verb == "unlearn" else ["--method", "continuation"]
    ran = untrac(verb, "--config", path, "--output", tmp_path / "out", "--steps", "6", *more)
    assert ran.code == 2
    assert "model.lr_scheduler: fails after step 5 of 6" in ran.text


def test_a_plateau_schedule_is_no_schedule_of_steps(untrac, config, recipe_content, tmp_path):
    plateau = {"kind": "torch.optim.lr_scheduler.ReduceLROnPlateau", "patience": 2}
    path = config(model=with_schedule(recipe_content["model"], 0, **plateau))
    ran = untrac("pretrain", "--config", path, "--output", tmp_path / "out", "--steps", "3")
    assert ran.code == 2
    assert "model.lr_scheduler: " in ran.text


def test_a_recipe_says_so_before_its_first_step(untrac, recipe, recipe_content, tmp_path):
    """The schedule fits the training, and not a retraining that is longer."""
    model = with_schedule(recipe_content["model"], 4)
    path = recipe(model=model, stages=[{"pretrain": {"steps": 4}}, {"leave-out": {"steps": 6}}])
    ran = untrac("run", path, "--output", tmp_path / "out")
    assert ran.code == 2
    assert "(leave-out): model.lr_scheduler: fails after step 5 of 6" in ran.text
    assert "(pretrain): model.lr_scheduler" not in ran.text


def test_a_recipes_schedule_follows_its_steps(untrac, recipe, recipe_content, tmp_path, lengths):
    steps = [{"pretrain": {"steps": 4}}, {"leave-out": None}]
    weights = {}
    for name, length, flags in (("same", 4, ()), ("follows", -1, ()), ("longer", -1, ("--pretrain.steps", "7"))):
        path = recipe(model=with_schedule(recipe_content["model"], length), stages=steps)
        del lengths[:]
        ran = untrac("run", path, "--output", tmp_path / name, *flags)
        assert ran.code == 0, ran.text
        weights[name] = load_file(tmp_path / name / "model" / "model.safetensors")
        assert set(lengths) - {100} == ({7} if flags else {4})  # 100 where only the making is tried
    assert all(torch.equal(weights["same"][key], weights["follows"][key]) for key in weights["same"])
    assert not all(torch.equal(weights["same"][key], weights["longer"][key]) for key in weights["same"])


def test_episodes_of_unequal_lengths_have_schedules_of_their_own(untrac, config, model_folders, tmp_path, monkeypatch):
    """A pass over 12, 9 and 10 examples in batches of 3 is 4, 3 and 4 steps; each begins and ends at the same rates."""
    rates = []
    step = LanguageModule.on_before_optimizer_step

    def spy(self, optimizer):
        rates.append(optimizer.param_groups[0]["lr"])
        step(self, optimizer)

    monkeypatch.setattr(LanguageModule, "on_before_optimizer_step", spy)
    model = with_schedule(
        {"name_or_path": model_folders("llama")}, 0, "torch.optim.lr_scheduler.PolynomialLR", total_iters=-1, power=1.0
    )
    path = config(model=model)
    ran = untrac("trace", "--config", path, "--output", tmp_path / "out", "--method", "untrac", "--passes", "1",
                 "--data.batch_size", "3", "--collapse_cap", ".inf")  # fmt: skip
    assert ran.code == 0, ran.text
    expected = [0.01 * (1 - step / steps) for steps in (4, 3, 4) for step in range(steps)]
    assert rates == pytest.approx(expected)


def test_the_shipped_recipes_follow_their_steps():
    from lightning_untrac.verbs.run import load_recipe, shipped_recipes

    for name in shipped_recipes():
        text = yaml.safe_dump(load_recipe(name))
        assert text.count("total_steps:") == text.count("total_steps: -1")
