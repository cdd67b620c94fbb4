"""What a trace would take, from a few measured batches."""

from __future__ import annotations

import json

import pytest
import yaml

from lightning_untrac.attribution import METHODS
from lightning_untrac.attribution.costs import episode_work, pass_work
from lightning_untrac.data import EpisodePlan
from lightning_untrac.functional.costs import Sizes, Speeds, Work, memory_of, seconds_of, straight_line


def test_work_of_episodes_counts_what_a_trace_does(make_data, model_folders):
    from lightning_untrac import Unlearning

    data = make_data(batch_size=4)
    data.prepare(Unlearning(model_folders("llama")))
    work = episode_work(data, EpisodePlan("each_corpus", (0, 1)), 2, fits=2)
    assert work.episodes == 6
    assert work.steps == 2 * (3 + 3 + 3)  # of 12, 9 and 10 examples
    assert work.readings == 2 + 2 * (2 + 2 + 2)
    lengths = [data.tokenized_test_sets[name].lengths() for name in data.test_set_names]
    assert sum(map(sum, lengths)) <= work.reading_tokens <= 10 * max(map(max, lengths))
    tokens = sum(data.tokenized_corpora[name].input_ids.num_tokens for name in data.corpus_names)
    assert work.step_tokens > 2 * tokens * 0.9
    assert data.plan is None


def test_a_done_episode_costs_nothing(make_data, model_folders):
    from lightning_untrac import Unlearning

    data = make_data(batch_size=4)
    data.prepare(Unlearning(model_folders("llama")))
    whole = episode_work(data, EpisodePlan("each_corpus"), 1)
    part = episode_work(data, EpisodePlan("each_corpus", done=frozenset({("birds", 0)})), 1)
    assert (whole.episodes, part.episodes) == (3, 2)
    assert part.step_tokens < whole.step_tokens
    assert pass_work(data, 1).gradient_tokens < pass_work(data).gradient_tokens


def test_memory_is_weights_and_what_is_kept_of_them():
    sizes = Sizes(weights=100.0, trainable=10.0, optimizer_copies=2.0, token=0.5)
    assert memory_of(Work(), sizes) == 0  # text alone needs no model
    assert memory_of(Work(gradient_tokens=1e6, batch_tokens=8.0, weight_copies=5.0), sizes) == 100 + 50 + 4
    # the gradient, the pre-unlearning weights, and Adam's two moments
    assert memory_of(Work(episodes=3, batch_tokens=8.0), sizes) == 100 + 40 + 4


def test_gradient_methods_say_what_they_keep():
    assert METHODS["graddot"].weight_copies(6, 3) == 5
    assert METHODS["ekfac"].weight_copies(6, 3) == 11
    assert METHODS["token_overlap"].weight_copies(6, 3) == 0


def test_seconds_are_linear_in_the_work():
    speeds = Speeds(0.01, 1e-4, 0.002, 1e-5, 0.5)
    one = seconds_of(Work(1, 10, 1000.0, 2, 300.0, 3), speeds)
    assert one == pytest.approx(0.1 + 0.1 + 2 * (0.006 + 0.003) + 0.5)
    assert seconds_of(Work(2, 20, 2000.0, 4, 300.0, 3), speeds) == pytest.approx(2 * one)


@pytest.mark.parametrize("line", [(0.2, 0.01), (0.0, 0.5)])
def test_a_line_is_found_again(line):
    fixed, slope = line
    sizes = [1.0, 1.0, 8.0, 8.0]
    assert straight_line(sizes, [fixed + slope * size for size in sizes]) == pytest.approx(line, abs=1e-9)


def test_the_command(untrac, config, tmp_path):
    asked = ("--methods", "untrac,untrac_inv,graddot,continuation", "--save", tmp_path / "plan.json")
    ran = untrac("plan", "--config", config(), "--output", tmp_path / "out", *asked)
    assert ran.code == 0, ran.text
    saved = json.loads((tmp_path / "plan.json").read_text())
    assert saved.keys() == {"untrac", "untrac_inv", "graddot", "continuation"}
    assert all(one["seconds"] > 0 for one in saved.values())
    assert saved["continuation"]["episodes"] == saved["untrac"]["episodes"] + 1  # the control
    assert "<=: episodes end where" in ran.text
    assert "graddot" in ran.text
    assert not (tmp_path / "out" / "influence.parquet").exists()
    fixed = ("--methods", "untrac,untrac_inv", "--steps", "2")
    assert "is the cheaper direction" in untrac("plan", "--config", config(), "--output", tmp_path / "out", *fixed).text
    unknown = untrac("plan", "--config", config(), "--output", tmp_path / "out", "--methods", "zz")
    assert unknown.code == 2
    assert "methods: 'zz' is unknown" in unknown.text
    retraining = untrac("plan", "--config", config(), "--output", tmp_path / "out", "--methods", "leave_out,untrac")
    assert "has no pretrain.json" in retraining.text


def test_it_says_what_measuring_takes(config, untrac, tmp_path):
    given = ("plan", "--config", config(), "--output", tmp_path / "out", "--methods", "token_overlap")
    ran = untrac(*given, "--measures", "quick,gradient_norm,neighbourhood,extraction_likelihood,barrier")
    assert ran.code == 0, ran.text
    rows = [line for line in ran.text.splitlines() if "\u2502" in line]
    cells = [[cell.strip() for cell in row.split("\u2502")] for row in rows]
    measuring = {one[1]: one[2:5] for one in cells if len(one) == 6}
    passes = {what: one[0] for what, one in measuring.items()}
    assert "token_overlap" in ran.text
    assert passes["shared forward pass"] == "1"
    assert passes["gradients"] == "3"
    assert passes["neighbourhood"] == "25"
    assert passes["barrier"] == "5"
    assert int(measuring["continuations"][1].removeprefix("<= ").replace(",", "")) > 0
    assert measuring["continuations"][2].startswith("<= ")
    assert measuring["barrier"][1] == ""
    assert untrac(*given, "--measures", "quik").code == 2


@pytest.mark.parametrize("corpora", [0, 1])
def test_measuring_alone_needs_nothing_to_trace(settings, run_copy, text_files, untrac, tmp_path, corpora):
    data = {"forget": [{"name": "secrets", "path": str(text_files["bread"])}], "corpora": []}
    data["corpora"] = settings["data"]["corpora"][:corpora]
    content = {"data": {**data, "cache_folder": settings["data"]["cache_folder"]}, "trainer": settings["trainer"]}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    ran = untrac("plan", "--config", path, "--output", run_copy, "--measures", "standard")
    assert ran.code == 0, ran.text
    assert "shared forward pass" in ran.text
    assert "a written token is a step" in ran.text
    assert "What each method would take" not in ran.text
    ran = untrac("plan", "--config", path, "--output", run_copy, "--measures", "loss", "--save", tmp_path / "plan.json")
    assert ran.code == 2
    assert "save: it holds what methods take" in ran.text


def test_without_a_configuration_the_data_are_those_of_training(run_copy, untrac, tmp_path):
    ran = untrac("plan", "--output", run_copy, "--measures", "loss,extraction_likelihood")
    assert ran.code == 0, ran.text
    assert "continuations" in ran.text
    alone = untrac(
        "plan", "--output", tmp_path / "new", "--measures", "loss", "--model.name_or_path", run_copy / "model"
    )
    assert alone.code == 2
    assert "data: name what is to be measured" in alone.text
