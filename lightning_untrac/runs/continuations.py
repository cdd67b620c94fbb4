"""How the models of a judgement go on from the same openings: text beside the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from lightning_untrac.data.openings import opening_of
from lightning_untrac.data.report_texts import LONGEST
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.continuing import continue_with
from lightning_untrac.runs.stage import Stage

PROMPTS: Final = 3
"""Openings of each dataset."""

TOKENS: Final = 40
"""Most tokens of a continuation."""

TEST_SETS: Final = 3
"""Test sets whose openings are continued, beside the forget set's."""

_OPENING: Final = 48
"""Most tokens of an opening where the data name no prompt."""


def quote_continuations(stage: Stage, models: Compared, forget: str) -> None:
    """Let every model go on from openings of the forget set and of test sets; write it into ``run.json``.

    Args:
        stage: the verb's, started; ``data.report_texts: 0`` quotes nothing.
        models: of one forget set; of the retrained ones the first speaks for all.
        forget: its name.
    """
    if not stage.data.report_texts or stage.module.task.classifies:  # which writes nothing
        return
    names = [forget, *(name for name in stage.data.test_set_names[:TEST_SETS] if name != forget)]
    parts = {part.name: part for part in stage.data.evaluation_data().parts}
    chosen = [(name, opening) for name in names if name in parts for opening in _openings(stage, parts[name])]
    if not chosen:
        return
    paths = {"original": models.original, **{Path(path).name: path for path in models.unlearned}}
    if models.retrained:
        paths["retrained"] = next(iter(models.retrained.values()))
    tokenizer, prompts = stage.module.tokenizer, [opening for _, opening in chosen]
    said = {name: continue_with(stage, prompts, TOKENS, path) for name, path in paths.items()}
    rows = [
        {
            "dataset": dataset,
            "opening": tokenizer.decode(opening, skip_special_tokens=True)[-LONGEST:],
            "said": {name: tokenizer.decode(ids[place]).rstrip("\ufffd") for name, ids in said.items()},
        }
        for place, (dataset, opening) in enumerate(chosen)
    ]
    stage.folder.add_to_run(continuations={forget: rows})


def _openings(stage: Stage, part: Any) -> list[list[int]]:
    """The prompts of the first examples; of texts without one, what they begin with."""
    rows = [part[index] for index in range(min(PROMPTS, len(part)))]
    apart = stage.module.is_seq2seq
    found = [opening_of(row["input_ids"], row["labels"], _OPENING, apart) for row in rows]
    return [opening for opening in found if opening]
