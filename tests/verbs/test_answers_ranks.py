"""Two ranks are told what one is, also where each holds a part of every weight and has other questions to ask; and what
comes out word for word is the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import pytest

from lightning_untrac.tables import read_measurements

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]


def said(folder: Path) -> dict[tuple[str, str, int], float]:
    rows = read_measurements(folder).to_pylist()  # type: ignore[union-attr]
    return {(row["measure"], row["dataset"], row["example"]): row["value"] for row in rows}


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_are_told_what_one_is(
    strategy: str, settings: dict[str, Any], config: Callable[..., Path], untrac: Any, pair_files: Any, tmp_path: Path
) -> None:
    # 7 and 4 questions in batches of 2: the last batch of a rank has fewer, or none.
    sets = [{"name": name, "path": str(pair_files[name]), "prompt": "prompt", "target": "target"}
            for name in ("ships", "ask-birds")]  # fmt: skip
    file = config(data={"test_sets": sets, "eval_batch_size": 2, "cache_folder": settings["data"]["cache_folder"]})
    after = {"init_args": {"prefix": 3, "length": 8}}
    measures = [
        "said.SaidDigest",
        "said.DrawnDigest",
        {"class_path": "extraction_likelihood", "init_args": {"n": 1}},
        *({"class_path": name, **after} for name in ("exact_extraction", "verbatim_leak", "discoverable")),
    ]
    command = ("evaluate", "--config", file, "--measures", json.dumps(measures))
    assert untrac(*command, "--output", tmp_path / "one").code == 0
    ranked = (*command, "--output", tmp_path / "two", "--trainer.devices", 2, "--trainer.strategy", strategy)
    ranks = processes.start_ranks(2, *ranked, log=tmp_path / "log", OMP_NUM_THREADS="1")
    assert [rank.wait() for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    found = said(tmp_path / "one")
    assert len(found) == len(measures) * (7 + 4)
    digests = {key: value for key, value in found.items() if key[0].startswith("test_")}
    assert len(set(digests.values())) > 11  # they tell answers apart
    assert len({value for key, value in found.items() if key[0] == "extraction_likelihood_n_1"}) > 1
    two = said(tmp_path / "two")
    assert {key: two[key] for key in digests} == digests
    assert two == pytest.approx(found, rel=1e-5)
