"""What ``untrac trace`` makes of methods and options that are not UnTrac's own."""

from __future__ import annotations

import json

import pytest
import yaml
from lightning_untrac.callbacks.read_at_strength import StrengthWarning

from lightning_untrac.tables import InfluenceStore, equal_tables
from lightning_untrac.verbs.trace import method_problems

CONTINUATION = ("--method", "continuation", "--steps", "3", "--readings", "2")


def table(folder):
    return InfluenceStore(folder).table().drop_columns(["seconds"])


def test_continuation_in_shards_is_the_whole_and_its_saved_settings_are_its_own(untrac, config, tmp_path):
    path = config()
    trace = ("trace", "--config", path, *CONTINUATION[2:], "--output")  # by default
    ran = untrac(*trace, tmp_path / "whole")
    assert ran.code == 0, ran.text
    for shard in ("1/2", "2/2"):
        assert untrac(*trace, tmp_path / "parts", "--shard", shard).code == 0
    assert untrac("merge", "--output", tmp_path / "parts").code == 0
    assert equal_tables(table(tmp_path / "whole"), table(tmp_path / "parts"))
    rows = InfluenceStore(tmp_path / "whole").rows()
    assert {row.corpus for row in rows} == {"birds", "ships", "bread"}
    saved = yaml.safe_load((tmp_path / "whole" / "trace-continuation.yaml").read_text())
    assert saved["model"]["init_args"]["optimizer"].endswith("continuation_adam")
    again = untrac("trace", "--config", tmp_path / "whole" / "trace-continuation.yaml")
    assert "finished already" in again.text
    # Another method takes its own optimizer, also from this file.
    other = ("--config", tmp_path / "whole" / "trace-continuation.yaml", "--output", tmp_path / "other")
    assert untrac("trace", *other, "--method", "untrac").code == 0
    saved = yaml.safe_load((tmp_path / "other" / "trace-untrac.yaml").read_text())
    assert saved["model"]["init_args"]["optimizer"].endswith("paper_adam")


def test_a_phase_that_unlearns_in_its_own_way_is_refused_before_anything_is_written(
    untrac, config, tmp_path, monkeypatch
):
    (tmp_path / "my_phases.py").write_text(
        "from lightning_untrac import Unlearning\n\n\nclass Mine(Unlearning):\n"
        "    def objective(self, seen):\n        return -seen.forget.mean_loss()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = yaml.safe_load(config().read_text())["model"]
    mine = config(model={"class_path": "my_phases.Mine", "init_args": model})
    ran = untrac("trace", "--config", mine, "--output", tmp_path / "out", *CONTINUATION)
    assert ran.code == 2
    assert "Mine defines what unlearning minimises" in ran.text
    assert "--method untrac" in ran.text
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_self_check_is_said_and_kept_out_of_the_matrix(untrac, config, tmp_path):
    trace = ("trace", "--config", config(), "--output", tmp_path / "out", *CONTINUATION, "--data.self_examples", "4")
    ran = untrac(*trace)
    assert ran.code == 0, ran.text
    assert "of 3 parts of corpora" in ran.text
    assert "self_birds" not in ran.text.split("strongest of its column")[0]
    assert {row.test_set for row in InfluenceStore(tmp_path / "out").rows()} >= {"self_birds", "ask-birds"}


def test_continuation_keeps_the_users_optimizer_and_refuses_an_objective(untrac, config, tmp_path):
    trace = ("trace", "--config", config(), *CONTINUATION, "--output", tmp_path / "out")
    ran = untrac(*trace, "--model.unlearning_objective", "lightning_untrac.objectives.GradientAscent")
    assert ran.code == 2
    assert "continuation unlearns nothing" in ran.text
    assert untrac(*trace, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1").code == 0
    saved = yaml.safe_load((tmp_path / "out" / "trace-continuation.yaml").read_text())
    assert saved["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.1


def test_a_rise_that_is_not_reached_is_in_the_notes(untrac, config, tmp_path):
    trace = ("trace", "--method", "untrac", "--config", config(), "--steps", "2", "--output", tmp_path / "out")
    with pytest.warns(StrengthWarning, match="not by 5.0"):
        ran = untrac(*trace, "--read_at_own_rise", "5")
    assert ran.code == 0, ran.text
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    assert sum("and not by 5.0" in note["text"] for note in notes) == 3


def test_what_does_not_go_with_a_rise_is_said_at_once(untrac, config, tmp_path):
    trace = ("trace", "--config", config(), "--output", tmp_path / "out", "--read_at_own_rise")
    ran = untrac(*trace, "-1", "--method", "continuation")
    assert ran.code == 2
    assert "give nats per token above 0" in ran.text
    assert "continuation unlearns nothing" in ran.text
    assert "leave out `examples`" in untrac(*trace, "0.1", "--method", "untrac_inv", "--examples").text


def test_what_is_wrong_with_a_later_method_is_said_before_the_first_begins(untrac, config, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_untrac.attribution.scoring.find_spec", lambda name: None)
    options = ("trace", "--config", config(), "--output", tmp_path / "out", "--steps", "2", "--method")
    ran = untrac(*options, "untrac,bm25")
    assert ran.code == 2
    assert "method bm25: needs the package bm25s" in ran.text
    assert "steps: bm25 has no episodes" in ran.text
    assert not (tmp_path / "out" / "influence.parquet").exists()


def test_no_method_at_all(untrac, config, tmp_path):
    ran = untrac("trace", "--config", config(), "--output", tmp_path / "out", "--method", ",")
    assert ran.code == 2
    assert "method: '' is unknown; use one of " in ran.text


ALONE = ("graddot", "gradcos", "token_overlap")
"""Methods that score a corpus alike in any company (docs/methods.md)."""


def test_no_method_depends_on_the_order_of_the_corpora_and_some_on_none_of_the_others(
    untrac, config, settings, tmp_path
):
    corpora = settings["data"]["corpora"]
    others = "centred_graddot fisher fisher_inv fisher_share datainf trak arnoldi lissa bm25 embedding"
    methods = (*ALONE, *others.split())

    def scores(name, listed, asked):
        path = config(data={**settings["data"], "corpora": listed})
        ran = untrac("trace", "--config", path, "--output", tmp_path / name, "--method", ",".join(asked))
        assert ran.code == 0, ran.text
        return {(r.method, r.corpus, r.test_set): r.influence for r in InfluenceStore(tmp_path / name).rows()}

    listed, reordered = scores("listed", corpora, methods), scores("reordered", corpora[::-1], methods)
    assert {method for method, _, _ in listed} == set(methods)
    for key, score in listed.items():
        assert reordered[key] == pytest.approx(score, rel=5e-3, abs=1e-6), key
    few = scores("few", corpora[:2], ALONE)
    assert len(few) == len(ALONE) * 4
    for key, score in few.items():
        assert score == pytest.approx(listed[key], rel=1e-5, abs=1e-9), key


def test_an_unknown_method_is_answered_with_those_of_trace():
    (problem,) = method_problems("zz")
    assert "untrac_inv" in problem
    assert "leave_out" not in problem
