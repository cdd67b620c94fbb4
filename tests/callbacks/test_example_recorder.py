from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac import ExampleRecorder
from lightning_untrac.data.encoding import content_hash
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore


def test_examples_add_up_to_their_corpus(
    trace: Any, make_data: Any, tmp_path: Path, text_files: dict[str, Path]
) -> None:
    final, _, _ = trace(
        "each_test_set",
        data=make_data(batch_size=4, eval_batch_size=3),
        callbacks=(ExampleRecorder(tmp_path),),
        readings=3,
    )
    rows = InfluenceStore(tmp_path).examples().to_pylist()
    assert len(rows) == 2 * (12 + 9 + 10)
    for (corpus, test_set), influence in final.items():
        mine = [r for r in rows if (r["corpus"], r["test_set"]) == (corpus, test_set)]
        assert [r["example"] for r in mine] == list(range(len(mine)))
        rise = math.fsum(r["loss_after"] - r["loss_before"] for r in mine) / sum(r["num_tokens"] for r in mine)
        assert rise == pytest.approx(influence, rel=1e-9, abs=1e-12)
        for row in mine:
            assert row["influence"] == pytest.approx((row["loss_after"] - row["loss_before"]) / row["num_tokens"])
    texts = [json.loads(line)["text"] for line in text_files["birds"].read_text().splitlines()]
    birds = [r for r in rows if r["corpus"] == "birds" and r["test_set"] == "ask-birds"]
    assert [r["content_hash"] for r in birds] == [content_hash("", text) for text in texts]


def test_an_example_does_not_depend_on_the_others(trace: Any, make_data: Any, tmp_path: Path) -> None:
    tables = []
    for eval_batch_size in (1, 16):
        folder = tmp_path / str(eval_batch_size)
        data = make_data(batch_size=4, eval_batch_size=eval_batch_size)
        trace("each_test_set", data=data, callbacks=(ExampleRecorder(folder),))
        tables.append([r["influence"] for r in InfluenceStore(folder).examples().to_pylist()])
    assert tables[0] == pytest.approx(tables[1], rel=1e-3, abs=1e-5)


def test_blocks_are_no_examples(trace: Any, make_data: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="packed blocks are not examples"):
        trace("each_test_set", data=make_data(block_size=32), callbacks=(ExampleRecorder(tmp_path),))
    trace("each_test_set", data=make_data(block_size=32, per_example=True), callbacks=(ExampleRecorder(tmp_path),))
    assert InfluenceStore(tmp_path).examples().num_rows == 2 * (12 + 9 + 10)


def test_ranks_record_the_examples_that_they_measure(
    text_files: dict[str, Path], model_folders: Any, cache_folder: str, tmp_path: Path
) -> None:
    sets = {"corpora": ("birds", "ships"), "test_sets": ("ask-birds",)}
    config = {
        "model": {"name_or_path": model_folders("llama")},
        "data": {
            "cache_folder": cache_folder,
            "eval_batch_size": 2,
            **{key: [{"name": n, "path": str(text_files[n])} for n in names] for key, names in sets.items()},
        },
        "trainer": {"accelerator": "cpu"},
    }
    (tmp_path / "trace.yaml").write_text(json.dumps(config))
    tables = []
    for devices in (1, 2):
        command = [
            sys.executable,
            "-m",
            "lightning_untrac",
            "trace",
            "--method",
            "untrac",
            f"--config={tmp_path / 'trace.yaml'}",
        ]
        command += [f"--output={tmp_path / str(devices)}", "--method=untrac_inv", "--steps=2", "--examples=true"]
        # The same effective batches: 4 examples of one device are 2 of each of two.
        command += [f"--data.batch_size={4 // devices}", f"--trainer.devices={devices}"]
        command += ["--trainer.strategy=ddp"] if devices > 1 else []
        subprocess.run(command, check=True, cwd=tmp_path)
        tables.append(InfluenceStore(tmp_path / str(devices)).examples().to_pylist())
    one, two = tables
    assert len(one) == len(two) == 12 + 9
    for column in ("test_set", "corpus", "example", "content_hash", "num_tokens", "status"):
        assert [row[column] for row in two] == [row[column] for row in one]
    for column in ("loss_before", "loss_after"):
        assert [row[column] for row in two] == pytest.approx([row[column] for row in one], rel=1e-4)
