"""``judge``: what models know of each sequence, from the command line to the report, against numbers made anew."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import processes
import pytest
import torch
import yaml
from scipy.special import logsumexp
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.data.encoding import content_hash
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables.distances import DISTANCES
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.measurements import SUMMARY
from lightning_untrac.tables.memorisation import MEMORISATION, MEMORISATION_SUMMARY, OUTLIERS
from lightning_untrac.tables.memorisation_steps import MEMORISATION_STEPS

MODELS = "[unlearned-birds,unlearned-birds-not,unlearned-birds-same-seed-0,unlearned-birds-same-seed-1]"
RETRAINED = ("seed-0", "seed-1")
ATTACKS = "zlib,min_k,min_k_plus_plus,reference_loss,gradient_norm"


@pytest.fixture(scope="module")
def memorised_run(judged_run: Path, untrac: Callable[..., Any], recipe_content: Any, text_files: Any) -> Path:
    """The folder judged again beside unseen twins and neighbours, both retrained models as seeds of an unlearning."""
    folder = Path(shutil.copytree(judged_run, judged_run.with_name("memorised")))
    for seed in RETRAINED:
        shutil.copytree(folder / "retrained-birds" / seed, folder / f"unlearned-birds-same-{seed}")
    twins = {"name": "twins", "path": str(text_files["ask-birds"]), "twins_of": "birds"}
    data = {**recipe_content["data"], "holdout": [twins], "test_sets": recipe_content["data"]["test_sets"][1:]}
    folder.with_name("twins.yaml").write_text(yaml.safe_dump({"data": data, "trainer": recipe_content["trainer"]}))
    ran = untrac("judge", "--config", folder.with_name("twins.yaml"), "--forget", "birds", "--output", folder,
                 "--models", MODELS, "--neighbours", "3", "--attacks", ATTACKS)  # fmt: skip
    assert ran.code == 0, ran.text
    folder.with_name("said-of-memorisation.txt").write_text(ran.text)
    return folder


@pytest.fixture(scope="module")
def rows(memorised_run: Path) -> pd.DataFrame:
    frame = read_table(memorised_run / MEMORISATION).to_pandas()
    return frame.assign(model=[Path(model).name for model in frame["model"]])


@pytest.fixture(scope="module")
def of(rows: pd.DataFrame) -> Callable[..., np.ndarray]:
    """Values of a model and measure, in the order of the examples."""

    def read(model: str, measure: str, dataset: str = "birds", column: str = "value") -> np.ndarray:
        mine = rows[(rows["model"] == model) & (rows["measure"] == measure) & (rows["dataset"] == dataset)]
        assert len(mine), (model, measure, dataset)
        return mine.sort_values("example")[column].to_numpy()

    return read


@pytest.fixture(scope="module")
def summary(memorised_run: Path) -> pd.Series:
    frame = read_table(memorised_run / MEMORISATION_SUMMARY).to_pandas()
    frame["model"] = [Path(model).name for model in frame["model"]]
    return frame[frame["dataset"] == "birds"].set_index(["model", "measure", "statistic"])["value"]


def texts(path: str) -> list[str]:
    return [json.loads(line)["text"] for line in Path(path).read_text().splitlines()]


def test_each_sequence_is_read_as_the_saved_models_read_it(memorised_run: Path, of: Any, text_files: Any) -> None:
    folder = memorised_run / "unlearned-birds"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for place, text in enumerate(texts(text_files["birds"])):
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])
        with torch.no_grad():
            logits = model(ids).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:]).item()
        assert of("unlearned-birds", "loss")[place] == pytest.approx(loss, rel=1e-4)
        assert of("unlearned-birds", "loss", column="weight")[place] == ids.shape[1] - 1
        hits = (logits.argmax(-1) == ids[0, 1:]).double().mean().item()
        assert of("unlearned-birds", "memorisation_accuracy")[place] == pytest.approx(hits, abs=1.5 / ids.shape[1])


def test_genex_is_made_of_the_losses_and_seeds_of_one_unlearning_stand_together(of: Any, summary: Any) -> None:
    tokens = of("model", "loss", column="weight")
    log_probs = {name: -of(name, "loss") * tokens for name in ("model", "unlearned-birds", *RETRAINED)}
    never = logsumexp([log_probs[seed] for seed in RETRAINED], axis=0) - np.log(2)
    for name in ("model", "unlearned-birds"):
        np.testing.assert_allclose(of(name, "genex"), log_probs[name] - never)
        np.testing.assert_allclose(of(name, "genex_bits"), (log_probs[name] - never) / np.log(2))
        assert summary[name, "genex", "mean"] == pytest.approx((log_probs[name] - never).mean())
        assert summary[name, "genex", "largest"] == pytest.approx((log_probs[name] - never).max())
    per_token = [log_probs[seed] / tokens for seed in RETRAINED]
    np.testing.assert_allclose(
        of("model", "genex_per_token"), log_probs["model"] / tokens - (logsumexp(per_token, axis=0) - np.log(2))
    )
    np.testing.assert_array_equal(of("unlearned-birds-not", "genex"), of("model", "genex"))  # a copy of it
    for measure in ("genex", "genex_per_token"):  # both retrained models against themselves
        np.testing.assert_allclose(of("unlearned-birds-same-seed-*", measure), 0, atol=1e-9)
    # A retrained model is held against the other one.
    np.testing.assert_allclose(of("seed-0", "genex"), log_probs["seed-0"] - log_probs["seed-1"])
    moved = log_probs["unlearned-birds"] - log_probs["model"]
    np.testing.assert_allclose(of("unlearned-birds", "relex_original_sum"), moved)


def test_counterfactual_memorisation_and_difficulty(of: Any, summary: Any) -> None:
    known = "memorisation_accuracy"
    never = np.mean([of(seed, known) for seed in RETRAINED], axis=0)
    np.testing.assert_allclose(of("model", "counterfactual_memorisation"), of("model", known) - never)
    np.testing.assert_allclose(of("unlearned-birds-same-seed-*", "counterfactual_memorisation"), 0, atol=1e-12)
    hard = np.mean([of(seed, "loss") for seed in RETRAINED], axis=0)
    np.testing.assert_allclose(of("model", "difficulty"), hard)
    assert ("unlearned-birds", "difficulty", "mean") not in summary.index  # it belongs to the text


def test_exposure_and_attacks_are_among_the_twins(of: Any, summary: Any) -> None:
    for name in ("unlearned-birds", "seed-1"):
        losses, unseen = of(name, "loss"), of(name, "loss", "twins")
        ranks = [1 + sum(other < loss for other in unseen) for loss in losses]
        np.testing.assert_allclose(of(name, "exposure"), np.log2(6) - np.log2(ranks))
        told = (losses[:, None] < unseen[None]) + 0.5 * (losses[:, None] == unseen[None])
        assert summary[name, "attack_loss", "auc"] == pytest.approx(told.mean())
        most = of("model", "memorisation_accuracy").argmax()
        assert summary[name, "attack_loss", "auc_most_memorised"] == pytest.approx(told[most].mean())
        assert summary[name, "attack_loss", "auc_rest"] == pytest.approx(np.delete(told, most, axis=0).mean())
    np.testing.assert_allclose(
        of("model", "relex_unseen"), -of("model", "loss") - np.log(np.exp(-of("model", "loss", "twins")).mean())
    )


def test_what_attacks_make_of_both_sides_is_kept(rows: pd.DataFrame, of: Any, summary: Any) -> None:
    attacks = [name for name in rows["measure"].unique() if ("model", name, "auc") in summary.index]
    assert {"attack_loss", "attack_neighbourhood", "attack_zlib", "attack_min_k"} <= set(attacks)
    for attack in attacks:
        for model in ("model", "unlearned-birds", "seed-1"):
            members, unseen = of(model, attack)[:, None], of(model, attack, "twins")[None]
            if measure_text(attack).direction == "higher":
                members, unseen = -members, -unseen
            told = ((members < unseen) + 0.5 * (members == unseen)).mean()
            assert summary[model, attack, "auc"] == pytest.approx(told)
    np.testing.assert_array_equal(of("model", "attack_loss", "twins"), of("model", "loss", "twins"))


def test_attacks_by_other_measures_stand_beside_the_retrained_models(
    memorised_run: Path, of: Any, summary: Any, text_files: Any
) -> None:
    for name in ("model", "unlearned-birds", "seed-0"):
        np.testing.assert_allclose(of(name, "attack_reference_loss"), of(name, "loss") - of("model", "loss"), atol=1e-6)
        sizes = of(name, "loss") / of(name, "attack_zlib")
        np.testing.assert_allclose(sizes, sizes.round(), atol=1e-6)
        for attack in ("zlib", "min_k", "min_k_plus_plus", "gradient_norm"):
            auc, others = summary[name, f"attack_{attack}", "auc"], [one for one in RETRAINED if one != name]
            never = np.mean([summary[one, f"attack_{attack}", "auc"] for one in others])
            assert summary[name, f"attack_{attack}", "auc_difference"] == pytest.approx(auc - never, abs=1e-6)
            assert summary[name, f"attack_{attack}", "auc_error"] >= 0
            if name != "seed-0":
                expected = 100 * ((1 - auc) - (1 - never)) / (1 - never)
                assert summary[name, f"attack_{attack}", "privleak"] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    for name in ("model", "unlearned-birds-not"):
        folder = memorised_run / name
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        for place, text in enumerate(texts(text_files["birds"])[:3]):
            ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])
            model.zero_grad()
            model(ids, labels=ids).loss.backward()
            norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm().item()
            assert of(name, "attack_gradient_norm")[place] == pytest.approx(norm, rel=1e-4)
    assert ("seed-0", "attack_loss", "privleak") not in summary.index
    assert ("model", "attack_loss", "tpr_at_1_percent") not in summary.index  # of five twins
    said = memorised_run.with_name("said-of-memorisation.txt").read_text()
    assert "attacks tell 12 sequences of birds from 5 unseen ones" in said.replace("\n", " ")
    assert "take 20 and 200 of each and are left out" in said.replace("\n", " ")


def test_all_models_are_held_against_the_same_neighbours(of: Any) -> None:
    for one, copy in (("model", "unlearned-birds-not"), ("seed-0", "unlearned-birds-same-seed-0")):
        np.testing.assert_array_equal(of(one, "attack_neighbourhood"), of(copy, "attack_neighbourhood"))
    assert not np.array_equal(of("seed-0", "attack_neighbourhood"), of("seed-1", "attack_neighbourhood"))


def test_survivors_stand_outside_of_the_level_and_are_listed_with_their_texts(
    memorised_run: Path, of: Any, summary: Any, text_files: Any
) -> None:
    known = "memorisation_accuracy"
    never = np.stack([of(seed, known) for seed in RETRAINED])
    reach = 2 * np.sqrt(never.var(axis=0, ddof=1).mean()) * np.sqrt(1 + 1 / 2)  # each sequence beside itself
    low, high = never.mean(axis=0) - reach, never.mean(axis=0) + reach
    outliers = read_table(memorised_run / OUTLIERS).to_pandas()
    every = texts(text_files["birds"])
    assert set(outliers["role"]) <= {"original", "unlearned"}
    for name in ("model", "unlearned-birds", "unlearned-birds-same-seed-0"):
        values = of(name, known)
        mine = outliers[[Path(model).name == name for model in outliers["model"]]]
        for side, chosen, statistic in (
            ("survivor", (values >= high - 1e-9) & (values > never.mean(axis=0)), "survivors"),
            ("over-forgotten", (values <= low + 1e-9) & (values < never.mean(axis=0)), "over_forgotten"),
        ):
            assert sorted(mine.loc[mine["side"] == side, "example"]) == np.flatnonzero(chosen).tolist()
            assert summary[name, known, statistic] == chosen.sum()
        for row in mine.itertuples():
            assert every[row.example].startswith(row.text.removesuffix("\u2026"))
            assert row.content_hash == content_hash("", every[row.example])
            assert (row.value, row.original) == (values[row.example], of("model", known)[row.example])
            assert row.genex == pytest.approx(of(name, "genex")[row.example])
            np.testing.assert_allclose(
                [row.level_low, row.level_high], [low[row.example], high[row.example]], atol=1e-9
            )
    assert summary["model", known, "level_reach"] == pytest.approx(reach)


def test_distances_stay_what_they_were(memorised_run: Path, judged_run: Path) -> None:
    one, other = (read_table(folder / DISTANCES).to_pandas() for folder in (judged_run, memorised_run))
    keys = ["retrained_seed", "dataset", "measure", "example"]
    values = [
        frame[[Path(model).name == "unlearned-birds" for model in frame["model"]]].set_index(keys)["value"].sort_index()
        for frame in (one, other)
    ]
    both = values[0].index.intersection(values[1].index)
    assert len(both) > 100
    pd.testing.assert_series_equal(values[0][both], values[1][both], rtol=1e-5, atol=1e-7)


def test_the_terminal_the_report_and_the_card_say_it(memorised_run: Path, untrac: Callable[..., Any]) -> None:
    said = memorised_run.with_name("said-of-memorisation.txt").read_text()
    for part in (
        " survivors ",
        "over-forgotten",
        "Attack by neighbours",
        OUTLIERS,
        "Of 12 sequences of birds",
    ):
        assert part in said, said
    folder = Path(shutil.copytree(memorised_run, memorised_run.with_name("memorised-report")))
    ran = untrac("report", "--output", folder)
    assert ran.code == 0, ran.text
    page = (folder / "report.html").read_text()
    for part in (
        "Which sequences survive",
        "GenEx in bits",
        "RelEx against unseen texts (a reading)",
        "AUC, top tenth",
    ):
        assert part in page
    assert (folder / "plots" / "memorised_birds.png").is_file()
    assert "Of 12 sequences of birds" in (folder / "unlearned-birds" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
def test_two_ranks_judge_as_one_does(memorised_run: Path) -> None:
    folder = Path(shutil.copytree(memorised_run, memorised_run.with_name("on-ranks")))
    names = (MEMORISATION, MEMORISATION_STEPS)
    for name in names:
        (folder / name).unlink()
    started = processes.start_ranks(
        2, "judge", "--config", folder.with_name("twins.yaml"), "--forget", "birds", "--output", folder, "--models",
        "[unlearned-birds]", "--neighbours", "3", "--attacks", ATTACKS, "--trainer.devices", 2,
        "--trainer.strategy", "ddp",
        log=folder.with_suffix(".log"), OMP_NUM_THREADS="1",
    )  # fmt: skip
    for process in started:
        process.wait()
    assert {process.process.exitcode for process in started} == {0}, "\n\n".join(one.text for one in started)
    for name in names:
        one, two = (read_table(path / name).to_pandas() for path in (memorised_run, folder))
        keys = [
            key
            for key in ("model", "dataset", "measure", "split", "part", "step", "statistic", "example")
            if key in two
        ]
        for frame in (one, two):
            frame["model"] = [Path(model).name for model in frame["model"]]
        one = one[one["model"].isin(["model", "unlearned-birds", *RETRAINED])]
        both = [frame.fillna({"step": -1} if "step" in frame else {}).set_index(keys)["value"] for frame in (one, two)]
        assert set(both[0].index) == set(both[1].index)
        np.testing.assert_allclose(both[1][both[0].index], both[0], rtol=1e-3, atol=1e-3)


def test_readings_of_unlearning_are_split_by_parts(memorised_run: Path, of: Any) -> None:
    frame = read_table(memorised_run / MEMORISATION_STEPS).to_pandas()
    mine = frame[[Path(model).name == "unlearned-birds" for model in frame["model"]]]
    assert set(mine["split"]) == {"all", "memorisation", "difficulty"}
    whole = mine[(mine["split"] == "all") & (mine["statistic"] == "genex")].sort_values("step")
    summary = read_table(memorised_run / SUMMARY).to_pandas()
    steps = summary.loc[[Path(model).name == "unlearned-birds" for model in summary["model"]], "step"]
    assert whole["step"].tolist() == [0, *sorted(steps.unique())]  # every reading
    for reading, model in ((0, "model"), (-1, "unlearned-birds")):  # as the judgement measured both ends itself
        ends = of(model, "genex_per_token").mean()
        assert whole["value"].iloc[reading] == pytest.approx(ends, rel=1e-4, abs=1e-5)
    for name in ("retained", "test_sets"):
        assert mine["statistic"].eq(name).sum() == len(whole)


def test_without_twins_the_rest_is_judged_and_that_is_said(judged_run: Path) -> None:
    said = (judged_run.parent / "said.txt").read_text()
    assert "there is no unseen text to hold birds against" in said
    frame = read_table(judged_run / MEMORISATION).to_pandas()
    assert {"genex", "counterfactual_memorisation", "difficulty", "relex_original_sum"} <= set(frame["measure"])
    assert not {"exposure", "relex_unseen", "attack_loss", "attack_neighbourhood"} & set(frame["measure"])


def test_one_retrained_model_is_enough_and_nothing_is_held_against_itself(
    judged_run: Path, untrac: Callable[..., Any]
) -> None:
    folder = Path(shutil.copytree(judged_run, judged_run.with_name("one-retrained")))
    shutil.rmtree(folder / "retrained-birds" / "seed-1")
    common = ("judge", "--forget", "birds", "--models", "[unlearned-birds]", "--output", folder)
    ran = untrac(*common, "--level", "sequence")
    assert ran.code == 2
    assert "level: sequence needs two retrained models" in ran.text
    ran = untrac(*common)
    assert ran.code == 0, ran.text
    summary = read_table(folder / MEMORISATION_SUMMARY).to_pandas()
    assert {"level_low", "level_high"} <= set(summary["statistic"])  # over all sequences
    frame = read_table(folder / MEMORISATION).to_pandas()
    frame["model"] = [Path(model).name for model in frame["model"]]
    values = frame.set_index(["model", "measure", "example"])["value"].sort_index()
    tokens = frame[frame["measure"] == "loss"].set_index(["model", "example"])["weight"].sort_index()
    gap = (values["seed-0", "loss"] - values["unlearned-birds", "loss"]) * tokens["seed-0"]
    np.testing.assert_allclose(values["unlearned-birds", "genex"], gap)
    assert ("seed-0", "genex") not in {key[:2] for key in values.index}


def test_what_is_wrong_is_said_at_once_before_any_work(judged_run: Path, untrac: Callable[..., Any]) -> None:
    before = (judged_run / MEMORISATION).read_bytes()
    common = ("judge", "--forget", "birds", "--output", judged_run)
    ran = untrac(*common, "--memorisation", "memorisation_acuracy", "--neighbours", "-1")
    assert ran.code == 2
    for part in ("did you mean 'memorisation_accuracy'", "neighbours: -1; give 0 or more"):
        assert part in ran.text, ran.text
    ran = untrac(*common, "--memorisation", "kl_to_reference")
    assert ran.code == 2
    assert "memorisation: kl_to_reference needs reference_logits" in ran.text
    ran = untrac(*common, "--level", "own", "--by_group", "true")
    assert ran.code == 2
    for part in ("level: own is that of unseen twins, and birds has none", "by_group: birds names no group"):
        assert part in ran.text, ran.text
    assert (judged_run / MEMORISATION).read_bytes() == before


def test_unseen_text_that_is_forgotten_too_and_attacks_that_say_nothing_are_refused(
    judged_run: Path, untrac: Callable[..., Any], recipe_content: Any, text_files: Any, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text("".join((text_files[name].read_text()) for name in ("ask-ships", "birds")))
    twins = {"name": "mixed", "path": str(mixed), "twins_of": "birds"}
    data = {**recipe_content["data"], "holdout": [twins]}
    config = tmp_path / "mixed.yaml"
    config.write_text(yaml.safe_dump({"data": data, "trainer": recipe_content["trainer"]}))
    common = ("judge", "--config", config, "--forget", "birds", "--output", judged_run)
    before = (judged_run / MEMORISATION_SUMMARY).read_bytes()
    ran = untrac(*common)
    assert ran.code == 2
    assert "data.holdout: 12 of the 17 texts of mixed stand in birds too" in ran.text
    for attacks, part in (
        ("neighbourhood", "attacks: neighbourhood would give each model neighbours of its own"),
        ("repetition", "attacks: repetition does not say by itself how well a text is known"),
        ("mink", "did you mean 'min_k'"),
        ("[{class_path: min_k, init_args: {share: 2}}]", "attacks: min_k: share is 2; give the share of the tokens"),
    ):
        ran = untrac(*common, "--attacks", attacks)
        assert ran.code == 2
        assert part in ran.text
    assert (judged_run / MEMORISATION_SUMMARY).read_bytes() == before
