"""A judgement from its checks to its tables: models measured, held against retrained ones, and examined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.errors import raise_if_any
from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.costs import costs_of, costs_sentence
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.examinations.examining import examination_problems, examine_all
from lightning_untrac.examinations.named import Suite
from lightning_untrac.functional.excess import Judged
from lightning_untrac.functional.latent_plane import Projection
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.against import AGAINST
from lightning_untrac.metrics.against.attacks import ScoreAttack
from lightning_untrac.metrics.of_sets import SET_MEASURES
from lightning_untrac.results import result_console
from lightning_untrac.results.examined import find_examined, said_of
from lightning_untrac.results.examined_section import draw_examined
from lightning_untrac.results.judged import find_judged
from lightning_untrac.results.judged_section import save_judged_plots
from lightning_untrac.results.judged_time import time_table
from lightning_untrac.results.measures import measure_texts
from lightning_untrac.results.memorised import find_memorised
from lightning_untrac.results.memorised_plot import save_memorised_plot
from lightning_untrac.results.memorised_steps import find_memorisation_steps, steps_table
from lightning_untrac.results.memorised_steps_plot import save_steps_plot
from lightning_untrac.results.memorised_terminal import memorised_table, outlier_lines
from lightning_untrac.results.recovered_section import recovered_answers
from lightning_untrac.results.roc_plot import save_roc_plot
from lightning_untrac.results.terminal_tables import judged_table
from lightning_untrac.results.verdict import verdict_lines, verdicts_on
from lightning_untrac.runs.comparable_models import saved_model_problems, tell_broken
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.continuations import quote_continuations
from lightning_untrac.runs.fail_if import Condition
from lightning_untrac.runs.judging import judge_all
from lightning_untrac.runs.kept_gradients import kept_model_problems
from lightning_untrac.runs.latent import projection_problems, read_states, write_latent
from lightning_untrac.runs.membership import check_unseen
from lightning_untrac.runs.memorisation_options import Memorisation, SequenceOptions
from lightning_untrac.runs.memorising import CONCLUDED, judge_memorisation, level_problems, unseen_twins
from lightning_untrac.runs.model_cards import refresh_model_cards
from lightning_untrac.runs.output import publish
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.surroundings import say
from lightning_untrac.tables.distances import DISTANCES, JUDGEMENTS, RETAINED, TEST_SETS
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.judged import JUDGED_EXAMPLES, JUDGED_MEASURES
from lightning_untrac.tables.latent import JUDGED_LATENT
from lightning_untrac.tables.memorisation import MEMORISATION, MEMORISATION_SUMMARY, OUTLIERS
from lightning_untrac.tables.memorisation_steps import MEMORISATION_STEPS

TABLES: Final = (
    *(JUDGED_MEASURES, JUDGED_EXAMPLES, JUDGEMENTS, DISTANCES, JUDGED_LATENT),
    *(MEMORISATION_SUMMARY, MEMORISATION, OUTLIERS, MEMORISATION_STEPS, EXAMINATION_SUMMARY, EXAMINATIONS),
)

NONE: Final = (
    "no model that was retrained without {forget} is given, so that nothing shows what perfect unlearning would give: "
    "no distance to it, no noise, no excess; `untrac retrain --forget {forget}` makes one"
)

ONE: Final = (
    "there is one retrained model, so that the noise of retraining is not known, and no excess; give `untrac retrain` "
    "two seeds or more"
)

NO_LEVEL: Final = (
    "survivors are not counted: there is neither a retrained model nor unseen text to hold {forget} against; give a "
    "holdout (data.holdout, with `twins_of: {forget}`)"
)


@dataclass(frozen=True)
class Judging:
    """What a verb asks of a judgement.

    Attributes:
        forget: name of the forget set.
        suite: measures, attacks and examinations.
        how: options about memorisation, as :meth:`Memorisation.of` reads them.
        projection: of a classifier's latent space.
        wandb: where tables and pictures go.
        fails: conditions that the command is to fail on; they name measures and datasets.
    """

    forget: str
    suite: Suite
    how: SequenceOptions
    projection: Projection = "pca"
    wandb: WandbConfig | None = None
    fails: Sequence[Condition] = ()


def judge_models(stage: Stage, models: Compared, asked: Judging, problems: Sequence[str]) -> None:
    """Check everything, then measure, compare and examine all models, and write and show what came of it.

    Args:
        stage: the verb's; its data have no plan yet.
        models: of the forget set.
        asked: what is wanted.
        problems: what the verb itself found.

    Raises:
        ConfigurationError: with everything that is wrong, before any model is loaded.
    """
    forget, suite = asked.forget, asked.suite
    found = [*saved_model_problems(stage, models), *kept_model_problems(stage, models.original)]
    stage.check(stage.data.active_plan, [*problems, *found])
    how = Memorisation.of(asked.how, len(models.retrained), stage.module.task)
    whole = stage.module.task.classifies and not stage.module.task.by_token
    counts = bool(models.retrained or unseen_twins(stage, forget))
    found = projection_problems(asked.projection, whole)
    raise_if_any([*(level_problems(stage, forget, how, len(models.retrained)) if counts else []), *found])
    check_unseen(stage, forget, unseen_twins(stage, forget))
    measures, examinations = suite.made()
    bench = Bench(stage, models, forget, suite.robust(measures))
    examinations, left_out = _possible(bench, suite, examinations)
    names, attacks = [measure.name for measure in measures], [ScoreAttack(measure).name for measure in how.attacks]
    there = [*names, *(measure.name for measure in how.measures), *attacks, *AGAINST]
    raise_if_any(_condition_problems(asked, stage.data.evaluation_names, there, examinations))
    stage.start()
    for note in [*suite.left_out, *left_out]:
        stage.tell("info", note)
    sets = [cls() for cls in SET_MEASURES.values() if cls.of_classes] if whole and models.retrained else []
    of_sets = find_measures([name for one in sets for name in one.reads]) if sets else []
    sets += [cls() for cls in SET_MEASURES.values() if not cls.of_classes and {*cls.reads} <= {*names}]
    every = {measure.name: measure for measure in (*of_sets, *how.measures)}
    also = [measure for name, measure in every.items() if name not in names]
    names += [*(measure.name for measure in also), *(one.name for one in sets)]
    stage.folder.add_to_run(measures=measure_texts([*names, *Compared.measures, *AGAINST, *attacks]))
    _tell_few(stage, models, forget)
    costs = costs_of(bench, measures, examinations)
    stage.tell("info", costs_sentence(bench, [*measures, *also], costs, how.neighbours))
    with stage.folder.costs(stage.name):
        states = read_states(stage, models.every) if of_sets else {}
        measured = judge_all(stage, models, forget, measures, also, sets, states)
        if measured is not None:
            tell_broken(stage, models, measured)
            if counts:
                judge_memorisation(stage, models, forget, measured, how)
            else:
                stage.tell("info", NO_LEVEL.format(forget=forget))
            quote_continuations(stage, models, forget)
            if models.retrained:
                write_latent(stage, models, forget, states, asked.projection)
            examine_all(replace(bench, measured=measured), examinations)
    if measured is None or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    stage.mark_done()
    refresh_model_cards(stage.folder)
    show_judgement(stage, forget)
    if asked.wandb is not None:
        for one in find_judged(stage.folder.path, stage.folder.facts()):
            save_judged_plots(stage.folder.path, one)
        for known in find_memorised(stage.folder.path):
            save_memorised_plot(stage.folder.path, known)
            save_roc_plot(stage.folder.path, known)
        draw_examined(stage.folder.path, stage.folder.facts())
        save_steps_plot(stage.folder.path, find_memorisation_steps(stage.folder.path))
    publish(asked.wandb, stage.folder, stage.name)


def _possible(bench: Bench, suite: Suite, examinations: Sequence[Examination]) -> tuple[list[Examination], list[str]]:
    """Examinations without problems, and what is said of those that came with a set and have any.

    Raises:
        ConfigurationError: if one that was named by itself has problems.
    """
    possible, said, wrong = [], [], []
    for one in examinations:
        problems = examination_problems(bench, [one])
        if not problems:
            possible.append(one)
        elif one.name in suite.of_sets:
            said += [f"left out: {problem}" for problem in problems]
        else:
            wrong += problems
    raise_if_any(wrong)
    return possible, said


def _condition_problems(
    asked: Judging, datasets: Sequence[str], measures: Sequence[str], examinations: Sequence[Examination]
) -> list[str]:
    """Why conditions can't be looked at."""
    known, read = [*measures, *Compared.measures], [*datasets, RETAINED, TEST_SETS]
    for one in examinations:
        known += [one.measure, *one.other_measures]
        read += one.parts(asked.forget)
    return [problem for one in asked.fails for problem in one.problems(known, read)]


def concluded_statistics(suite: Suite) -> list[str]:
    """What a judgement concludes beside means, by the names that conditions may give.

    Args:
        suite: what is asked for; what is wrong with it is said elsewhere.
    """
    examinations = [] if suite.problems() else suite.made()[1]
    of_examinations = [name for one in examinations for name in one.statistics]
    return [*CONCLUDED, *Judged._fields, "difference", *of_examinations]


def _tell_few(stage: Stage, models: Compared, forget: str) -> None:
    """That there are too few retrained models for what a judgement would say."""
    if len(models.retrained) > 1:
        return
    note = f"{stage.name}: {ONE if models.retrained else NONE.format(forget=forget)}"
    stage.folder.add_notes("warning", [note])
    say(f"untrac: warning: {note}")


def forget_set_of(data: Any, forget: str | None) -> tuple[str, list[str]]:
    """The forget set that is judged: the one that is named, or the only one.

    Args:
        data: the configuration of the data.
        forget: its name, if one is given.

    Returns:
        Its name, and what is wrong.
    """
    names = [one.get("name") or one.get("path") for one in data.get("forget") or []]
    if forget is not None or len(names) == 1:
        return forget or names[0], []
    there = ", ".join(names) or "none"
    return "", [f"forget: name the forget set that is judged (--forget NAME); data.forget holds {there}"]


def show_judgement(stage: Stage, forget: str) -> None:
    """Print verdicts, tables and answers, and where the files are.

    Args:
        stage: the verb's, finished.
        forget: the forget set.
    """
    judged = [one for one in find_judged(stage.folder.path, stage.folder.facts()) if one.forget_set == forget]
    every_known = [one for one in find_memorised(stage.folder.path) if one.forget_set == forget]
    examined = said_of(find_examined(stage.folder.path, stage.folder.facts()), forget)
    console = result_console()
    for one in judged:
        for line in verdict_lines(verdicts_on(one, next(iter(every_known), None), examined)):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        console.print()
        console.print(judged_table(one, console.width), crop=False)
        if (times := time_table(one, console.width)) is not None:
            console.print()
            console.print(times, crop=False)
            console.print()
        for sentence in recovered_answers(one):
            console.print(sentence, soft_wrap=True, highlight=False)
    steps = [one for one in find_memorisation_steps(stage.folder.path) if one.forget_set == forget]
    for known in every_known:
        console.print()
        console.print(memorised_table(known, console.width), crop=False)
        for line in [line for one in known.models if one.role == "unlearned" for line in outlier_lines(one)]:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        if (table := steps_table(steps, console.width)) is not None:
            console.print()
            console.print(table, crop=False)
    paths = [str(path) for name in TABLES if (path := stage.folder.path / name).is_file()]
    where = f"tables: {', '.join(paths)}"
    console.print(where, soft_wrap=True, highlight=False)
