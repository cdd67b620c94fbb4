"""Which sequences of a forget set stand outside of the level of unseen text, with their texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lightning_untrac.data.evaluated import packed
from lightning_untrac.data.report_texts import beginnings
from lightning_untrac.data.short_texts import short_texts_note
from lightning_untrac.functional.generalised_exposure import generalised_exposure
from lightning_untrac.functional.outliers import Levels, same_level, sequence_levels, sides, unseen_level
from lightning_untrac.metrics import MEASURES
from lightning_untrac.runs.memorised_data import LOSS, Memorised
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.memorisation import OVER_FORGOTTEN, SURVIVOR

LevelOf = Literal["sequence", "retrained", "twins", "own"]
"""What the level of unseen text is: what the retrained models know of the very same sequence; of the whole forget set;
of its unseen twins; or what the model itself knows of its unseen twins."""


def levels_of(read: Memorised, model: str, counted: str, level_of: LevelOf) -> Levels:
    """The level of unseen text of each sequence of the forget set.

    Args:
        read: what was read.
        model: that is judged.
        counted: the measure by which outliers are counted.
        level_of: what the level is; ``sequence`` needs two retrained models.
    """
    retrained = list(read.models.retrained.values())
    models = [model] if level_of == "own" else retrained
    found = Levels(*np.full((3, len(read.forget.examples)), np.nan))
    for sequences, twins in read.parts():
        values = [read.forget.values[path][counted][sequences] for path in models]
        if level_of == "sequence":
            levels = sequence_levels(np.stack(values))
        else:
            if level_of != "retrained":
                values = [read.unseen(path, counted)[twins] for path in models]
            levels = same_level(unseen_level(np.concatenate(values)), len(sequences))
        for whole, part in zip(found, levels, strict=True):
            whole[sequences] = part
    return found


def sides_of(read: Memorised, model: str, counted: str, levels: Levels) -> Any:
    """Of each sequence 1 where it is known better than unseen text, -1 where worse, else 0.

    Args:
        read: what was read.
        model: that is judged.
        counted: the measure by which outliers are counted.
        levels: of :func:`levels_of`.
    """
    found = sides(read.forget.values[model][counted], levels)
    return -found if MEASURES[counted].direction == "lower" else found


def outlier_rows(
    stage: Stage, read: Memorised, model: str, state: Mapping[str, Any], counted: str, levels: Levels
) -> list[dict[str, Any]]:
    """Rows of ``outliers.parquet`` of one model.

    Args:
        stage: the verb's, started.
        read: what was read.
        model: that is judged.
        state: what all rows share, by column.
        counted: the measure by which outliers are counted.
        levels: of :func:`levels_of`.
    """
    forget, values = read.forget, read.forget.values
    side = sides_of(read, model, counted, levels)
    retrained = list(read.models.retrained.values())
    log_probs = {path: -values[path][LOSS] * forget.tokens for path in (model, *retrained)}
    genex = np.full(len(forget.tokens), np.nan)
    if retrained:
        genex = generalised_exposure(log_probs[model][None], np.stack([log_probs[path] for path in retrained]))
    known = np.full(len(forget.tokens), np.nan)
    if retrained:
        known = np.mean([values[path][counted] for path in retrained], axis=0)
    chosen = np.flatnonzero(side)
    part = next(part for part in stage.data.evaluation_data().parts if part.name == forget.name)
    indices = forget.examples[chosen].tolist()
    texts: list[str | None] = [None] * len(indices)
    if stage.data.report_texts:
        texts = list(beginnings(part, stage.module.tokenizer, indices, stage.module.is_seq2seq))
    is_packed = forget.name in packed(stage.data)
    return [
        {
            **state,
            "example": index,
            "side": SURVIVOR if side[place] == 1 else OVER_FORGOTTEN,
            "measure": counted,
            "value": values[model][counted][place],
            "original": values[read.models.original][counted][place],
            "retrained": float(known[place]),
            "level_low": levels.low[place],
            "level_high": levels.high[place],
            "genex": genex[place],
            "content_hash": None if is_packed else stage.data.tokenized[forget.name].content_hash(index),
            "text": text,
        }
        for place, index, text in zip(chosen.tolist(), indices, texts, strict=True)
    ]


def memorisation_notes(stage: Stage, read: Memorised, counted: str, level_of: LevelOf) -> list[str]:
    """What is to be known of a judgement of memorisation, a sentence each.

    Args:
        stage: the verb's.
        read: what was read.
        counted: the measure by which outliers are counted.
        level_of: what the level of unseen text is.
    """
    forget, found = read.forget, []
    if counted != LOSS and (short := short_texts_note(forget.name, forget.tokens)) is not None:
        found.append(short)
    if forget.name not in packed(stage.data):
        dataset = stage.data.tokenized[forget.name]
        copies = len(forget.examples) - len(set(dataset.content_hashes(forget.examples).to_pylist()))
        if copies:
            found.append(f"{copies} sequences of {forget.name} repeat the text of another one; each copy is counted")
    if not read.twins:
        found.append(
            f"there is no unseen text to hold {forget.name} against, so that exposure, RelEx against unseen text and "
            f"attacks are left out; give a holdout (data.holdout, with `twins_of: {forget.name}`)"
        )
    levels, (low, high) = levels_of(read, read.models.original, counted, level_of), MEASURES[counted].bounds
    better, worse = "a survivor", "over-forgotten"
    if MEASURES[counted].direction == "lower":
        better, worse = worse, better
    for beyond, side in ((levels.low < low, worse), (levels.high > high, better)):
        if beyond.any():
            found.append(
                f"unseen text reaches past the end of {counted} for {int(beyond.sum())} of {len(forget.examples)} "
                f"sequences, which can't be {side} by it"
            )
    return found
