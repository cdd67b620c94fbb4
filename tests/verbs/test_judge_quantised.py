"""``judge --examinations quantised``: from the command line to the tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import Ran
from four_bits import loaded_in_4_bits
from transformers import AutoTokenizer

from lightning_untrac.modules import quantising
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.files import read_table

pytest.importorskip("bitsandbytes", exc_type=ImportError)
pytest.importorskip("torchao", exc_type=ImportError)


@pytest.fixture(scope="module")
def quantised(judged_run: Path, tmp_path_factory: pytest.TempPathFactory, untrac: Callable[..., Ran]) -> Path:
    folder = Path(shutil.copytree(judged_run, tmp_path_factory.mktemp("quantised") / "run"))
    measures = "loss,memorisation_accuracy,quantised"
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--measures", measures)
    assert ran.code == 0, ran.text
    (folder.parent / "said.txt").write_text(ran.text)
    return folder


def test_losses_are_those_of_the_model_that_transformers_loads_in_4_bits(
    quantised: Path, text_files: dict[str, Path]
) -> None:
    rows = read_table(quantised / EXAMINATIONS).to_pandas()
    rows["model"] = [Path(model).name for model in rows["model"]]
    found = (
        rows[rows["measure"] == "loss"].set_index(["model", "condition", "dataset", "example"])["value"].sort_index()
    )
    model = loaded_in_4_bits(quantised / "unlearned-birds")
    tokenizer = AutoTokenizer.from_pretrained(quantised / "model")
    for example, line in enumerate(text_files["birds"].read_text().splitlines()[:3]):
        text = json.loads(line)["text"]
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:])
        assert found["unlearned-birds", "nf4", "birds", example] == pytest.approx(loss.item(), rel=1e-4)


def test_copies_share_every_code_and_nothing_comes_back_for_them(quantised: Path) -> None:
    rows = read_table(quantised / EXAMINATION_SUMMARY).to_pandas()
    rows["model"] = [Path(model).name for model in rows["model"]]
    assert set(rows["condition"]) == {"", "nf4", "int8"} - ({""} - set(rows["condition"]))
    codes = rows[rows["measure"] == "same_codes"].set_index(["model", "condition"])["value"].sort_index()
    for how in ("nf4", "int8"):
        assert codes["unlearned-birds-not", how] == 1  # a copy of the original
        assert codes["seed-0", how] < 0.9
        assert 0 < codes["unlearned-birds", how] < 1
    robust = rows[rows["statistic"] == "quantisation_robustness"]
    one = robust[robust["dataset"] == "birds"].set_index(["model", "condition", "measure"])["value"].sort_index()
    assert one["unlearned-birds-not", "nf4", "loss"] == one["model", "nf4", "loss"]
    assert ((robust["value"] >= 0) & (robust["value"] <= 1)).all()
    assert (one.loc[:, "int8", "loss"] > one.loc[:, "nf4", "loss"] - 0.01).all()
    means = rows[(rows["statistic"] == "mean") & (rows["measure"] == "loss")].set_index(
        ["model", "condition", "dataset"]
    )
    before = read_table(quantised / "judged_measures.parquet").to_pandas()
    before["model"] = [Path(model).name for model in before["model"]]
    before = before[(before["statistic"] == "mean") & (before["measure"] == "loss")].set_index(["model", "dataset"])
    a, b = means.loc[("unlearned-birds", "nf4", "birds"), "value"], before.loc[("unlearned-birds", "birds"), "value"]
    assert one["unlearned-birds", "nf4", "loss"] == pytest.approx(1 - abs(a - b) / (a + b))


def test_what_is_left_out_and_what_came_back_is_said(quantised: Path) -> None:
    assert "int4 shares a scale among 32 inputs" in (quantised.parent / "said.txt").read_text()
    facts = json.loads((quantised / "run.json").read_text())
    said = facts["examined"]["birds/quantised"]
    assert {Path(path).name for path in said} == {"unlearned-birds", "unlearned-birds-not", "unlearned-birds-wholly"}
    rows = read_table(quantised / EXAMINATION_SUMMARY).to_pandas()
    known = rows[(rows["statistic"] == "known_beyond") & (rows["measure"] == "loss")]
    for path, sentence in said.items():
        mine = known[known["model"] == path]
        assert ("could come back" in sentence) == mine.empty
        assert mine.empty or "came back" in sentence or "can't be told" in sentence


def test_what_is_wrong_is_said_before_the_work(judged_run: Path, untrac: Callable[..., Ran]) -> None:
    asked = '["loss", {"class_path": "quantised", "init_args": {"to": ["fp2"]}}]'
    ran = untrac("judge", "--forget", "birds", "--output", judged_run, "--measures", asked)
    assert ran.code == 2
    assert "to: 'fp2' is unknown; give some of nf4, int8, int4" in ran.text
    asked = '["loss", {"class_path": "quantised", "init_args": {"to": ["int4"]}}]'
    ran = untrac("judge", "--forget", "birds", "--output", judged_run, "--measures", asked)
    assert ran.code == 2
    assert "int4 shares a scale among 32 inputs, and model.layers.0.self_attn.q_proj" in ran.text


def test_a_missing_package_is_named_before_the_work(
    judged_run: Path, untrac: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising, "find_spec", lambda name: None)
    ran = untrac("judge", "--forget", "birds", "--output", judged_run, "--measures", "loss,quantised")
    assert ran.code == 2
    assert "nf4 needs the package bitsandbytes: pip install 'lightning-untrac[quantised]'" in ran.text
