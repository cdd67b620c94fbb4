"""Judge what models know of each sequence of a forget set: survivors, what is over-forgotten, and measures of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.data.evaluated import groups, sides
from lightning_untrac.functional.example_means import weighted_mean
from lightning_untrac.functional.outliers import Levels
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import MEASURES
from lightning_untrac.metrics.against import AGAINST
from lightning_untrac.metrics.against.attacks import LossAttack, ScoreAttack
from lightning_untrac.metrics.against.measure import statistic
from lightning_untrac.metrics.measure import Measure
from lightning_untrac.metrics.summary import Statistic
from lightning_untrac.results.canaries import EPSILON
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.judging import Arrays, groups_of, methods_of
from lightning_untrac.runs.kept_arrays import KeptArrays
from lightning_untrac.runs.kept_gradients import kept_gradient_norms
from lightning_untrac.runs.membership import FPRS, NEIGHBOURHOOD, attack_notes, beside_all
from lightning_untrac.runs.memorisation_options import Memorisation
from lightning_untrac.runs.memorised_data import Memorised, measures_read, read_of
from lightning_untrac.runs.memorised_steps import write_memorisation_steps
from lightning_untrac.runs.neighbouring import neighbourhood_scores
from lightning_untrac.runs.outliers import LevelOf, levels_of, memorisation_notes, outlier_rows, sides_of
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.distances import RETAINED, TEST_SETS
from lightning_untrac.tables.measurements import filled, replace_rows
from lightning_untrac.tables.memorisation import (
    MEMORISATION,
    MEMORISATION_SUMMARY,
    OUTLIERS,
    memorisation_schema,
    memorisation_summary_schema,
    outliers_schema,
)

Rows = list[dict[str, Any]]

BESIDE: Final = {"retained": RETAINED, "test_sets": TEST_SETS}
"""Groups of datasets whose loss stands beside the steps of forgetting, by the statistic that says it."""

CONCLUDED: Final = (
    *("survivors", "over_forgotten", "level", "level_low", "level_high", "level_reach"),
    *("best_known", "largest", "mean_size", EPSILON),
    *("auc", "auc_most_memorised", "auc_rest", "auc_difference", "privleak"),
    *(name for rate in FPRS for name in (rate, f"{rate}_difference")),
)
"""What is concluded beside means, by the statistic that says it."""


def level_problems(stage: Stage, forget: str, how: Memorisation, retrained: int) -> list[str]:
    """What a level asks of the data and of the models, once they are known.

    Args:
        stage: the verb's, with prepared data.
        forget: the forget set.
        how: it is judged.
        retrained: how many retrained models there are.
    """
    found = []
    if how.level in ("twins", "own") and not unseen_twins(stage, forget):
        found.append(
            f"level: {how.level} is that of unseen twins, and {forget} has none; give text that was never trained on "
            f"(data.holdout, with `twins_of: {forget}`), or leave it out"
        )
    if how.level in ("retrained", "twins") and not retrained:
        found.append(
            f"level: {how.level} is what retrained models know, and there is none; run `untrac retrain`, or use own"
        )
    if how.level == "sequence" and retrained < 2:
        found.append(
            "level: sequence needs two retrained models, which show how far two are apart; give `untrac retrain` two "
            "seeds or more, or use retrained"
        )
    if how.by_group and groups(stage.data)[forget] is None:
        found.append(f"by_group: {forget} names no group; name the column that holds it (`group` of the dataset)")
    return found


def judge_memorisation(
    stage: Stage, models: Compared, forget: str, measured: Mapping[str, Arrays], how: Memorisation
) -> None:
    """Read neighbours and kept models where there are any, and write what models know of each sequence.

    Call it on every rank.

    Args:
        stage: the verb's, started.
        models: of the forget set.
        forget: its name.
        measured: what :func:`~lightning_untrac.runs.judging.judge_all` has measured of each model.
        how: it is judged.
    """
    twins, scores = unseen_twins(stage, forget), {}
    if how.neighbours:
        proposers = {"retrained": next(iter(models.retrained.values()), None), "original": models.original}
        proposer = proposers.get(how.neighbours_from)
        scores = _kept_scores(stage, models, [forget, *twins], how.neighbours, proposer, forget)
    kept = kept_gradient_norms(stage, models.original, forget)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    of = groups(stage.data)
    names = [measure.name for measure in how.measures]
    forgotten, *unseen = (read_of(measured, models, names, name, of[name]) for name in (forget, *twins))
    if not len(forgotten.examples):
        return  # nothing of it is a target
    other = sides(stage.data).get(forget)
    read = Memorised(models, forgotten, unseen, how.by_group, other if other in twins else None, kept, scores)
    write_memorisation(stage, read, methods_of(stage, models, forget), how.counted, how.level, how.attacks)
    one_level = None if how.level == "own" else levels_of(read, models.original, how.counted, how.level)
    every = groups_of(stage, forget)
    beside = {statistic: every[name] for statistic, name in BESIDE.items() if name in every}
    notes = write_memorisation_steps(stage.folder.path, read, measured, beside, how.counted, one_level)
    for note in [*memorisation_notes(stage, read, how.counted, how.level), *attack_notes(read), *notes]:
        stage.tell("info", note)


def _kept_scores(
    stage: Stage, models: Compared, names: Sequence[str], count: int, proposer: str | None, forget: str
) -> dict[str, Mapping[str, Floats]]:
    """Neighbourhood scores as an earlier run of the command has kept them, or read now."""
    kept = KeptArrays(stage, models.original)
    depends = [count, proposer, names, forget]
    among = [*([proposer] if proposer is not None else [])]
    before = {path: kept.read([NEIGHBOURHOOD], [path, *among], depends) for path in models.every}
    if all(one is not None for one in before.values()):
        return {path: one[f"{NEIGHBOURHOOD}/value"] for path, one in before.items() if one is not None}
    scores = neighbourhood_scores(stage, models.every, names, count, proposer, forget)
    for path, of in scores.items():
        kept.write([NEIGHBOURHOOD], [path, *among], depends, {f"{NEIGHBOURHOOD}/value": of})
    return scores


def unseen_twins(stage: Stage, forget: str) -> list[str]:
    """The holdouts that show the level of unseen text for a forget set, of those that are read."""
    return [name for name in stage.data.unseen_names(forget) if name in stage.data.evaluation_names and name != forget]


def write_memorisation(
    stage: Stage,
    read: Memorised,
    methods: Mapping[str, str],
    counted: str,
    level_of: LevelOf,
    attacks: Sequence[Measure] = (),
) -> None:
    """Write ``memorisation.parquet``, its summary and ``outliers.parquet``.

    Args:
        stage: the verb's, started.
        read: what was read.
        methods: how each model was made.
        counted: the measure by which outliers are counted.
        level_of: what the level of unseen text is.
        attacks: measures by which members are told, beside the loss.
    """
    import pyarrow as pa

    found = beside_all(read, attacks)
    forget, tables, outliers, summary = read.forget.name, [], [], []
    for model, role, paths in read.judged():
        state = {"model": model, "method": methods[paths[0]], "role": role, "forget_set": forget, "dataset": forget}
        seen = read.sequences(role, paths)
        columns = {"example": read.forget.examples, "weight": read.forget.tokens}
        said: list[tuple[str, str, Floats, list[Statistic]]] = []
        unseen: list[tuple[str, str, Floats]] = []
        if role != "seeds":
            levels = levels_of(read, model, counted, level_of)
            said += _plain(read, model, counted, levels)
            outliers += outlier_rows(stage, read, model, state, counted, levels) if role != "retrained" else []
        for measure in (*(cls() for cls in AGAINST.values()), *map(ScoreAttack, attacks)):
            if measure.suits(seen):
                values = measure(seen)
                statistics = [*measure.statistics(values, seen), *found.get(measure.name, {}).get(model, ())]
                said.append((measure.name, measure.unit, values, statistics))
                if isinstance(measure, LossAttack):
                    unseen.append((measure.name, measure.unit, measure.unseen(seen)))
        for name, unit, values, statistics in said:
            known = np.isfinite(values)
            mine = {key: column[known] for key, column in columns.items()} | {"value": values[known]}
            tables.append(filled(memorisation_schema(), {**state, "measure": name, "unit": unit}, mine))
            summary += [{**state, "measure": name, **one._asdict(), "retrained": len(read.models.retrained)}
                        for one in statistics]  # fmt: skip
        for twin in read.twins if role != "seeds" else ():
            for name in measures_read(counted):
                theirs = {"example": twin.examples, "weight": twin.tokens, "value": twin.values[model][name]}
                more = {"dataset": twin.name, "measure": name, "unit": MEASURES[name].unit}
                tables.append(filled(memorisation_schema(), {**state, **more}, theirs))
        tables += _unseen_scores(read, state, unseen)
    rewritten: dict[str, Any] = {"forget_set": forget}
    replace_rows(stage.folder.path, MEMORISATION, rewritten, pa.concat_tables(tables))
    replace_rows(stage.folder.path, OUTLIERS, rewritten, pa.Table.from_pylist(outliers, schema=outliers_schema()))
    rows = pa.Table.from_pylist(summary, schema=memorisation_summary_schema())
    replace_rows(stage.folder.path, MEMORISATION_SUMMARY, rewritten, rows)


def _unseen_scores(read: Memorised, state: Mapping[str, Any], scores: Sequence[tuple[str, str, Floats]]) -> list[Any]:
    """What attacks make of unseen twins under a model: tables of ``memorisation.parquet``."""
    ends, tables = np.cumsum([len(twin.examples) for twin in read.twins])[:-1], []
    for name, unit, values in scores:
        for twin, theirs in zip(read.twins, np.split(values, ends), strict=True):
            columns = {"example": twin.examples, "weight": twin.tokens, "value": theirs}
            columns = {key: column[np.isfinite(theirs)] for key, column in columns.items()}
            more = {"dataset": twin.name, "measure": name, "unit": unit}
            tables.append(filled(memorisation_schema(), {**state, **more}, columns))
    return tables


def _plain(
    read: Memorised, model: str, counted: str, levels: Levels
) -> Iterator[tuple[str, str, Floats, list[Statistic]]]:
    """The loss and the measure of memorisation themselves; of the measure of outliers how many there are."""
    for name in measures_read(counted):
        values, measure = read.forget.values[model][name], MEASURES[name]
        mean = weighted_mean(values, np.ones(len(values)), bounds=measure.bounds)
        found = [statistic("mean", mean.value, mean.low, mean.high, measure.unit)]
        if name == counted:
            best = values.min() if measure.direction == "lower" else values.max()
            found.append(statistic("best_known", float(best), unit=measure.unit))
            side = sides_of(read, model, counted, levels)
            found += [_count("survivors", side == 1), _count("over_forgotten", side == -1)]
            found += [statistic(name, value, unit=measure.unit) for name, value in _one_level(levels).items()]
        yield name, measure.unit, values, found


def _one_level(levels: Levels) -> dict[str, float]:
    """What can be said of the level in few numbers: its ends, or how far it reaches on each side of each sequence."""
    if not np.ptp(levels.mean):
        return {"level": levels.mean[0], "level_low": levels.low[0], "level_high": levels.high[0]}
    half = levels.high - levels.mean
    return {"level_reach": float(half[0])} if np.ptp(half) < 1e-9 else {}


def _count(name: str, chosen: Any) -> Statistic:
    """How many sequences, with Wilson's interval."""
    from scipy.stats import binomtest

    count, of = int(chosen.sum()), len(chosen)
    ends = binomtest(count, of).proportion_ci(method="wilson")
    return statistic(name, count, ends.low * of, ends.high * of, f"of {of}")
