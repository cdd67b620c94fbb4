"""How far ``untrac trace`` goes where the user does not say it, and how the paper's setting is had."""

from __future__ import annotations

import json

import pytest
import yaml

from lightning_untrac.functional.costs import Work
from lightning_untrac.runs.plan_table import Estimate, cheaper_direction
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.verbs.trace import arguments

FAST = ("--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", "0.01")
"""Fresh tiny models hardly move at the default rate."""


def settled(path, *flags):
    parsed = arguments(["--config", str(path), "--output", "unused", *flags])
    return parsed.options, parsed.config.data.batch_size


def test_only_untrac_without_a_length_is_read_at_its_own_rise(config):
    path = config()
    assert settled(path, "--method", "untrac")[0].read_at_own_rise == 0.02
    for flags in (("--steps", "3"), ("--passes", "1"), ("--read_at_kl", "0.01"), ("--setting", "paper")):
        assert settled(path, "--method", "untrac", *flags)[0].read_at_own_rise is None
    for method in ("untrac_inv", "continuation", "graddot"):
        assert settled(path, "--method", method)[0].read_at_own_rise is None


def test_the_papers_setting_is_one_flag(config, settings):
    path = config(data={k: v for k, v in settings["data"].items() if k != "batch_size"})
    assert settled(path, "--method", "untrac")[1] is None
    assert settled(path, "--method", "untrac", "--setting", "paper")[1] == 1
    assert settled(path, "--method", "untrac_inv", "--setting", "paper")[1] == 256
    assert settled(config(), "--method", "untrac", "--setting", "paper")[1] == 4  # the user's own


def test_the_default_reads_every_episode_where_its_own_loss_has_risen(untrac, config, tmp_path):
    ran = untrac("trace", "--method", "untrac", "--config", config(), "--output", tmp_path / "out", *FAST)
    assert ran.code == 0, ran.text
    rows = [row for row in InfluenceStore(tmp_path / "out").rows() if row.final]
    assert {row.status for row in rows} == {"ok"}
    # A pass has 3 steps, and the last reading may come before its end or after.
    assert all(row.step <= 12 for row in rows)
    saved = yaml.safe_load((tmp_path / "out" / "trace-untrac.yaml").read_text())
    assert saved["read_at_own_rise"] == 0.02
    assert "read_at_own_rise 0.02" in (tmp_path / "out" / "notes.json").read_text()


def test_a_short_corpus_gets_the_steps_that_it_needs(untrac, config, tmp_path):
    """At a rate that needs more than the 3 steps of a pass, an episode goes on to as many as there are examples."""
    options = ("--method", "untrac", "--config", config(), "--model.optimizer", "torch.optim.Adam")
    slow = ("--model.optimizer.lr", "1e-3", "--read_at_own_rise", "0.05", "--output", tmp_path / "out")
    ran = untrac("trace", *options, *slow)
    assert ran.code == 0, ran.text
    rows = [row for row in InfluenceStore(tmp_path / "out").rows() if row.final]
    assert max(row.step for row in rows) > 3
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    assert not any("and not by" in note["text"] for note in notes)


def test_what_does_not_go_with_the_papers_setting_is_said(untrac, config, tmp_path):
    trace = ("trace", "--config", config(), "--output", tmp_path / "out", "--setting", "paper", "--method")
    assert "continuation has no published setting" in untrac(*trace, "continuation").text
    ran = untrac(*trace, "untrac", "--steps", "3", "--read_at_kl", "0.1")
    assert ran.code == 2
    assert "leave out steps, read_at_kl, or setting" in ran.text
    assert not (tmp_path / "out" / "run.json").exists()


@pytest.mark.parametrize(("inverse", "said"), [(1.0, "untrac_inv is the cheaper direction"), (9.0, "untrac is")])
def test_the_cheaper_direction_is_said_where_it_is_known(inverse, said):
    estimates = [Estimate("untrac", 5.0, 1.0, Work()), Estimate("untrac_inv", inverse, 1.0, Work())]
    assert said in cheaper_direction(estimates)
    estimates[0].at_most = True
    assert (cheaper_direction(estimates) == "") == (inverse < 5)
