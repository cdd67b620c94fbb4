"""What is done to weights comes out alike where each rank holds a part of them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import processes
import pytest
from commands import Ran

from lightning_untrac.tables.examinations import EXAMINATIONS
from lightning_untrac.tables.files import read_table

pytest.importorskip("bitsandbytes", exc_type=ImportError)

MEASURES = json.dumps(
    [
        "loss",
        {"class_path": "barrier", "init_args": {"places": 1}},
        {"class_path": "quantised", "init_args": {"to": ["nf4"]}},
        {"class_path": "relearned", "init_args": {"steps": 2, "readings": [2]}},
    ]
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
def test_two_ranks_find_the_same(judged_run: Path, tmp_path: Path, untrac: Callable[..., Ran]) -> None:
    alone, shared = (Path(shutil.copytree(judged_run, tmp_path / name)) for name in ("alone", "shared"))
    command = ("judge", "--forget", "birds", "--models", "[unlearned-birds]", "--measures", MEASURES)
    ran = untrac(*command, "--output", alone)
    assert ran.code == 0, ran.text
    started = processes.start_ranks(
        2,
        *(*command, "--output", shared, "--trainer.devices", 2, "--trainer.strategy", "fsdp2"),
        log=shared.with_suffix(".log"),
        OMP_NUM_THREADS="1",
    )
    for one in started:
        one.wait()
    assert {one.process.exitcode for one in started} == {0}, "\n\n".join(one.text for one in started)
    one, two = (read_table(path / EXAMINATIONS).to_pandas() for path in (alone, shared))
    one["model"], two["model"] = ([Path(model).name for model in table["model"]] for table in (one, two))
    keys = ["examination", "model", "condition", "at", "measure", "dataset", "example"]
    one, two = (table.sort_values(keys).reset_index(drop=True) for table in (one, two))
    assert one[keys].equals(two[keys])
    assert {"barrier", "quantised", "relearned"} == set(one["examination"])
    np.testing.assert_allclose(two["value"], one["value"], rtol=1e-3, atol=1e-5)
