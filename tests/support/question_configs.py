"""Files of questions with answers and the facts that they are about, as datasets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_untrac import DatasetConfig

Rows = Mapping[str, Sequence[tuple[str, str, str]]]
"""Name of a dataset to its questions, answers and facts."""


def question_configs(folder: Path, datasets: Rows) -> dict[str, DatasetConfig]:
    """Write each dataset into a file of its own; the fact of a question is its group."""
    made = {}
    for name, rows in datasets.items():
        path = folder / f"{name}.jsonl"
        lines = [json.dumps({"prompt": p, "target": t, "fact": g}) for p, t, g in rows]
        path.write_text("".join(f"{line}\n" for line in lines))
        made[name] = DatasetConfig(str(path), name, prompt="prompt", target="target", group="fact")
    return made
