"""The card beside an unlearned model says what was done to it, from the tables, and grows with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wandb_offline
from huggingface_hub import ModelCard

from lightning_untrac.runs.model_cards import refresh_model_cards
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.tables import read_summary
from lightning_untrac.tables.checksums import damaged_files


@pytest.fixture
def unlearned(untrac: Any, config: Any, tmp_path: Path) -> Path:
    """The output folder of an unlearning that a rule has ended."""
    flags = ("--steps", "3", "--readings", "3", "--stop_at", "loss>=0.1", "--objective", "npo", "--name", "mild")
    ran = untrac(
        "unlearn", "--config", config(), "--output", tmp_path / "out", "--forget", "birds", "--wandb.mode", "offline",
        *flags,
    )  # fmt: skip
    assert ran.code == 0, ran.text
    return tmp_path / "out"


def test_a_card_says_what_was_forgotten_how_and_measured_how(
    unlearned: Path, text_files: dict[str, Path], tmp_path: Path
) -> None:
    model = unlearned / "unlearned-birds-mild"
    card = ModelCard.load(model / "README.md")
    assert card.data.library_name == "transformers"
    assert "unlearning" in card.data.tags
    text = card.content
    for words in ("- name: birds", "- size: 12 examples", "- objective: NPO", '"beta": 0.1', "- seed: 0"):
        assert words in text, words
    assert "- steps: 1 of 3" in text
    assert "- stopped by: birds's loss" in text
    rows = [row for row in read_summary(unlearned).to_pylist() if row["statistic"] == "mean"]
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(rows) // 2
    (after,) = [r["value"] for r in rows if (r["dataset"], r["measure"], r["step"]) == ("ships", "loss", 1)]
    (line,) = [one for one in text.splitlines() if one.startswith("| Loss") and "| ships |" in one]
    assert f"{after:.2f}" in line
    assert "was not compared with one that was trained again" in text
    assert str(tmp_path) not in text
    texts = [json.loads(line)["text"] for file in text_files.values() for line in file.read_text().splitlines()]
    assert not any(one in text for one in texts)
    (logged,) = wandb_offline.offline_runs(unlearned)
    assert any(path.endswith(".html") and "model_card" in path for path in logged.files)


def test_its_digest_is_that_of_the_texts(
    unlearned: Path, config: Any, untrac: Any, text_files: dict[str, Path]
) -> None:
    """Another folder, objective and order give the same one."""

    def of(name: str) -> str:
        text = (unlearned / name / "README.md").read_text()
        (line,) = [one for one in text.splitlines() if one.startswith("- digest of its texts: ")]
        return line

    lines = text_files["birds"].read_text().splitlines()
    shuffled = unlearned.parent / "shuffled.jsonl"
    shuffled.write_text("\n".join([*lines[::-1], lines[0]]))
    others = {"name": "ships", "path": str(text_files["ships"])}
    data = {"corpora": [{"name": "feathers", "path": str(shuffled)}, others], "test_sets": []}
    ran = untrac(
        "unlearn", "--config", config(data=data), "--output", unlearned, "--forget", "feathers", "--steps", "1"
    )
    assert ran.code == 0, ran.text
    assert of("unlearned-feathers") == of("unlearned-birds-mild")
    assert "(12 different texts)" in (unlearned / "unlearned-feathers" / "README.md").read_text()


def test_it_is_written_again_when_the_model_has_been_judged(unlearned: Path) -> None:
    import pyarrow as pa

    from lightning_untrac.tables.distances import JUDGEMENTS, judgements_schema
    from lightning_untrac.tables.measurements import replace_rows

    model = unlearned / "unlearned-birds-mild"
    rows = [
        {
            "model": path, "method": "m", "forget_set": "birds", "role": role, "dataset": "birds", "measure": "kl",
            "retrained": 2, "statistic": "nearer", "value": 0.1, "ci_low": 0.0, "ci_high": 0.2, "unit": "",
        }
        for path, role in (("start", "original"), (str(model), "unlearned"))
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=judgements_schema())
    replace_rows(unlearned, JUDGEMENTS, {"forget_set": "birds"}, table)
    refresh_model_cards(RunFolder(unlearned))
    text = (model / "README.md").read_text()
    assert "On birds it is nearer to the retrained model than to the original" in text
    assert "was not compared" not in text
    assert damaged_files(model) == []
