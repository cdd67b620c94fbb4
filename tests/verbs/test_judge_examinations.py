"""``judge --examinations``: from the command line to the tables."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Ran
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.metrics import MEASURES, Measure
from lightning_untrac.metrics.measure import Measured
from lightning_untrac.outputs import Outputs
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.files import read_table


@pytest.fixture(scope="module")
def examined(judged_run: Path, tmp_path_factory: pytest.TempPathFactory, untrac: Callable[..., Ran]) -> Path:
    folder = Path(shutil.copytree(judged_run, tmp_path_factory.mktemp("examined") / "run"))
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--measures", "loss,barrier")
    assert ran.code == 0, ran.text
    return folder


def test_the_line_ends_at_both_models(examined: Path) -> None:
    rows = read_table(examined / EXAMINATIONS).to_pandas()
    rows["model"] = [Path(model).name for model in rows["model"]]
    judged = read_table(examined / "judged_examples.parquet").to_pandas()
    judged["model"] = [Path(model).name for model in judged["model"]]
    losses = judged[judged["measure"] == "loss"].set_index(["model", "dataset", "example"])["value"]
    line = rows[rows["measure"] == "loss_on_the_line"].set_index(["model", "at", "dataset", "example"])["value"]
    for model in ("unlearned-birds", "seed-0"):
        for at, of in ((0.0, "model"), (1.0, model)):
            mine, theirs = line[model, at, "birds"], losses[of, "birds"]
            np.testing.assert_allclose(mine, theirs.loc[mine.index], rtol=1e-5)
    barrier = rows[rows["measure"] == "barrier"].set_index(["model", "dataset"])["value"]
    assert (barrier["unlearned-birds-not", "birds"].abs() < 1e-6).all()  # a copy of the original
    assert (barrier >= 0).all()


def test_the_middle_is_that_of_the_mean_weights(examined: Path, text_files: dict[str, Path]) -> None:
    rows = read_table(examined / EXAMINATIONS).to_pandas()
    rows["model"] = [Path(model).name for model in rows["model"]]
    line = rows[rows["measure"] == "loss_on_the_line"].set_index(["model", "at", "dataset", "example"])["value"]
    model, other = (AutoModelForCausalLM.from_pretrained(examined / name) for name in ("model", "unlearned-birds"))
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
            mine.copy_((mine + theirs) / 2)
    tokenizer = AutoTokenizer.from_pretrained(examined / "model")
    text = json.loads(text_files["birds"].read_text().splitlines()[0])["text"]
    ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text, add_special_tokens=False)]])
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:])
    assert line["unlearned-birds", 0.5, "birds", 0] == pytest.approx(loss.item(), rel=1e-4)


def test_what_was_examined_is_not_examined_again(examined: Path, untrac: Callable[..., Ran]) -> None:
    files = sorted((examined / "examined").iterdir())
    before = {path: os.stat(path).st_mtime_ns for path in files}
    summary = read_table(examined / EXAMINATION_SUMMARY)
    files[0].unlink()  # as if it had been killed before this model
    ran = untrac("judge", "--forget", "birds", "--output", examined, "--measures", "loss,barrier")
    assert ran.code == 0
    after = {path: os.stat(path).st_mtime_ns for path in sorted((examined / "examined").iterdir())}
    assert set(after) == set(before)
    assert {path for path in after if after[path] != before[path]} == {files[0]}
    assert read_table(examined / EXAMINATION_SUMMARY).equals(summary)


def test_another_measure_or_retrained_model_leaves_what_was_examined(
    examined: Path, tmp_path: Path, untrac: Callable[..., Ran]
) -> None:
    folder = Path(shutil.copytree(examined, tmp_path / "run"))
    before = {path.name: os.stat(path).st_mtime_ns for path in (folder / "examined").iterdir()}
    shutil.copytree(folder / "retrained-birds" / "seed-0", folder / "retrained-birds" / "seed-7")
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--measures", "loss,zlib,barrier")
    assert ran.code == 0, ran.text
    after = {path.name: os.stat(path).st_mtime_ns for path in (folder / "examined").iterdir()}
    assert before.items() <= after.items()
    assert [name.split("-")[:4] for name in after.keys() - before.keys()] == [["barrier", "birds", "seed", "7"]]


def test_a_measure_more_reads_only_that_measure(
    judged_run: Path, tmp_path: Path, untrac: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(judged_run, tmp_path / "run"))
    before = {path.name: os.stat(path).st_mtime_ns for path in (folder / "measured").iterdir()}
    examples = read_table(folder / "judged_examples.parquet").to_pandas()
    measured: list[str] = []

    def counting(own: Callable[..., Measured]) -> Callable[..., Measured]:
        def call(self: Measure, seen: Outputs) -> Measured:
            measured.append(self.name)
            return own(self, seen)

        return call

    for cls in (MEASURES["loss"], MEASURES["zlib"]):
        monkeypatch.setattr(cls, "__call__", counting(cls.__call__))
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--measures", "quick,zlib")
    assert ran.code == 0, ran.text
    assert set(measured) == {"zlib"}
    after = read_table(folder / "judged_examples.parquet").to_pandas()
    keys = ["model", "measure", "dataset", "example"]
    old = after[after["measure"] != "zlib"].sort_values(keys)
    assert old["value"].tolist() == examples.sort_values(keys)["value"].tolist()
    times = {path.name: os.stat(path).st_mtime_ns for path in (folder / "measured").iterdir()}
    assert before.items() <= times.items()
