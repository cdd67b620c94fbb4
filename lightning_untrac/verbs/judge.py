"""``untrac judge``: hold unlearned models against those that were retrained without the forget set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import problems_of, raise_if_any
from lightning_untrac.examinations import Bench, find_examinations
from lightning_untrac.examinations.examining import examination_problems, examine_all
from lightning_untrac.functional.latent_plane import Projection
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.against import AGAINST
from lightning_untrac.metrics.against.attacks import ScoreAttack
from lightning_untrac.metrics.measure import DEFAULT_MEASURES, MeasureNeed, given_by, measure_problems
from lightning_untrac.metrics.of_sets import SET_MEASURES
from lightning_untrac.modules import Evaluation
from lightning_untrac.results import result_console
from lightning_untrac.results.judged import find_judged, judged_answers
from lightning_untrac.results.judged_section import save_judged_plots
from lightning_untrac.results.judged_time import time_table
from lightning_untrac.results.measures import measure_texts
from lightning_untrac.results.memorised import find_memorised, memorised_answers
from lightning_untrac.results.memorised_plot import save_memorised_plot
from lightning_untrac.results.memorised_steps import find_memorisation_steps, steps_table
from lightning_untrac.results.memorised_steps_plot import save_steps_plot
from lightning_untrac.results.memorised_terminal import memorised_table, outlier_lines
from lightning_untrac.results.recovered_section import recovered_answers
from lightning_untrac.results.terminal_tables import judged_table
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import model_problems
from lightning_untrac.runs.continuations import quote_continuations
from lightning_untrac.runs.forget_set import chosen_before, other_choices
from lightning_untrac.runs.judging import Compared, compared_models, judge_all
from lightning_untrac.runs.latent import projection_problems, read_states, write_latent
from lightning_untrac.runs.membership import attack_problems, check_unseen
from lightning_untrac.runs.memorised_data import KNOWN, LOSS
from lightning_untrac.runs.memorising import (
    Memorisation,
    judge_memorisation,
    level_problems,
    memorisation_problems,
    unseen_twins,
)
from lightning_untrac.runs.model_cards import refresh_model_cards
from lightning_untrac.runs.neighbouring import Proposer
from lightning_untrac.runs.outliers import LevelOf
from lightning_untrac.runs.output import publish
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.saved_models import files_digest, use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.strongest import with_strongest
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import as_trained
from lightning_untrac.tables.distances import DISTANCES, JUDGEMENTS
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.judged import JUDGED_EXAMPLES, JUDGED_MEASURES
from lightning_untrac.tables.latent import JUDGED_LATENT
from lightning_untrac.tables.memorisation import MEMORISATION, MEMORISATION_SUMMARY, OUTLIERS
from lightning_untrac.tables.memorisation_steps import MEMORISATION_STEPS
from lightning_untrac.verb import Arguments, Traits


@dataclass
class JudgeOptions:
    """Hold unlearned models of a forget set against models that were retrained without it (``untrac retrain``).

    Attributes:
        output: folder with ``model/`` (the original), ``unlearned-<forget>*/`` and ``retrained-<forget>/``, and for
            ``distances.parquet`` (a row an example) and ``judgements.parquet``.
        forget: name of the forget set, or ``strongest of <test set>``; ``<corpus>-chosen`` where examples of a corpus
            were chosen.
        models: the unlearned models, folders or names of folders in the output folder; by default all of this forget
            set that are there.
        measures: what is measured of each model in the same passes, example by example: names separated by commas or in
            a list, or class paths of your own measures; in a list also with settings, `{class_path: leak_at_k,
            init_args: {k: 2}}`.
        examples: read packed corpora example by example, so that a row is an example and not a block.
        level: what the level of unseen text is, outside of which a sequence is a survivor or over-forgotten: what the
            retrained models know of the very same sequence (``sequence``, the default from two retrained models on), of
            the whole forget set (``retrained``), of its unseen twins in a holdout (``twins``), or what the model at
            hand itself knows of its unseen twins (``own``).
        by_group: every group of the forget set (``group`` of a dataset) has a level of its own, and the twins of its
            group.
        memorisation: the measure by which survivors are counted; of a classifier of whole texts the loss, unless it is
            told otherwise.
        neighbours: how many copies with some tokens replaced each sequence of the forget set and its twins is held
            against, so many more passes over both; 0 leaves the attack out.
        neighbours_from: what proposes the other tokens: the first retrained model, the original, or how often a token
            stands in the retained corpora.
        examinations: what is done to each model to see what comes of it, such as `barrier`: names separated by commas
            or in a list, or class paths of your own; in a list also with settings.
        attacks: measures by which an attacker tells the forget set from its unseen twins, beside the loss: names of any
            that say how well a text is known, such as `zlib,min_k,min_k_plus_plus,reference_loss`, in a list also with
            settings.
        projection: how the picture of a classifier's latent space is made: the plane of most variance (``pca``), or a
            curved map that keeps neighbours together (``umap``, whose first call takes a minute or more).
        wandb: send the tables and pictures to Weights & Biases.
    """

    output: str
    forget: str
    models: list[str] | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    examples: bool = False
    level: LevelOf | None = None
    by_group: bool = False
    memorisation: str = KNOWN
    neighbours: int = 0
    neighbours_from: Proposer = "retrained"
    examinations: str | list[str | dict[str, Any]] = ""
    attacks: str | list[str | dict[str, Any]] = LOSS
    projection: Projection = "pca"
    wandb: WandbConfig | None = None


TRAITS = Traits(JudgeOptions, Evaluation, repeats=True)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return with_strongest(parse("judge", JudgeOptions, as_trained(argv, only_measures=True), Evaluation))


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: JudgeOptions = parsed.options
    plan = EpisodePlan("one", only=(options.forget,))
    choice, _ = chosen_before(options.output, options.forget)
    of_original: frozenset[MeasureNeed] = frozenset({"reference_log_probs"})
    given = Evaluation.gives("validate") | given_by(parsed.config.data) | of_original
    problems = measure_problems(options.measures, given) + attack_problems(options.attacks, given)
    problems += memorisation_problems(options.memorisation, options.neighbours)
    problems += projection_problems(options.projection) + problems_of(lambda: find_examinations(options.examinations))
    return Intent(f"judge-{options.forget}", plan, problems, "evaluate", choice)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: JudgeOptions = parsed.options
    asked = intent(parsed)
    use_saved_model(parsed.config, options.output, "model")
    stage = Stage(parsed, asked)
    stage.folder.overwrite = True  # it is done anew each time
    stage.data.per_example |= options.examples
    original = str(stage.module.name_or_path)
    datasets = [one.name or one.path for one in (*stage.data.corpora, *stage.data.test_sets, *stage.data.forget)]
    there = Path(options.output)  # a trial's results go elsewhere
    models, problems = compared_models(there, options.forget, options.models, original, datasets)
    choice, missing = chosen_before(options.output, options.forget)
    if choice is not None and not missing:
        missing = other_choices(options.output, choice, models.unlearned)
    stage.check(asked.plan, [*asked.problems, *problems, *missing, *_model_problems(stage, models)])
    stage.data.plan = asked.plan
    how = Memorisation.of(options, len(models.retrained), stage.module.task)
    whole = stage.module.task.classifies and not stage.module.task.by_token
    problems = projection_problems(options.projection, whole)
    raise_if_any([*level_problems(stage, options.forget, how, len(models.retrained)), *problems])
    check_unseen(stage, options.forget, unseen_twins(stage, options.forget))
    measures, examinations = find_measures(options.measures), find_examinations(options.examinations)
    robust = [one for one in measures if one.direction != "none" and not one.needs]
    bench = Bench(stage, models, options.forget, robust)
    raise_if_any(examination_problems(bench, examinations))
    stage.start()
    names = [measure.name for measure in measures]
    sets = [cls() for cls in SET_MEASURES.values()] if whole else []
    of_sets = find_measures([name for one in sets for name in one.reads]) if sets else []
    every = {measure.name: measure for measure in (*of_sets, *how.measures)}
    also = [measure for name, measure in every.items() if name not in names]
    names += [*(measure.name for measure in also), *(one.name for one in sets)]
    attacks = [ScoreAttack(measure).name for measure in how.attacks]
    stage.folder.add_to_run(measures=measure_texts([*names, *Compared.measures, *AGAINST, *attacks]))
    if len(models.retrained) == 1:
        stage.folder.add_notes("warning", [note := f"{asked.stage}: {ONE}"])
        say(f"untrac: warning: {note}")
    with stage.folder.costs(asked.stage):
        states = read_states(stage, models.every) if sets else {}
        measured = judge_all(stage, models, options.forget, measures, also, sets, states)
        if measured is not None:
            judge_memorisation(stage, models, options.forget, measured, how)
            quote_continuations(stage, models, options.forget)
            write_latent(stage, models, options.forget, states, options.projection)
            examine_all(replace(bench, measured=measured), examinations)
    if measured is None or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    stage.mark_done()
    refresh_model_cards(stage.folder)
    _show(stage, options.forget)
    if options.wandb is not None:
        for one in find_judged(stage.folder.path, stage.folder.facts()):
            save_judged_plots(stage.folder.path, one)
        for known in find_memorised(stage.folder.path):
            save_memorised_plot(stage.folder.path, known)
        save_steps_plot(stage.folder.path, find_memorisation_steps(stage.folder.path))
    publish(options.wandb, stage.folder, asked.stage)


OF_EXAMINATIONS = (EXAMINATION_SUMMARY, EXAMINATIONS)
OF_SEQUENCES = (MEMORISATION_SUMMARY, MEMORISATION, OUTLIERS, MEMORISATION_STEPS)

ONE = (
    "there is one retrained model, so that the noise of retraining is not known, and no excess; give `untrac retrain` "
    "two seeds or more"
)


def _model_problems(stage: Stage, models: Compared) -> list[str]:
    """Whether all models are whole, and predict the same tokens."""
    found = []
    size = None
    for path in models.every if stage.module.name_or_path else models.every[1:]:  # of no original the stage tells
        if Path(path).is_dir():
            found += problems_of(lambda path=path: files_digest(Path(path)))  # type: ignore[misc]
        module = stage.parsed.build_module().of_saved(path)
        problems = [f"{path}: {problem}" for problem in model_problems(module)]
        found += problems
        if problems:
            continue
        what = ", ".join(module.task.labels) or f"{module.num_outcomes} tokens"
        size = size or (what, path)
        if what != size[0]:
            found.append(f"models: {path} predicts {what} and {size[1]} {size[0]}; their predictions can't be compared")
    return found


def _show(stage: Stage, forget: str) -> None:
    judged = [one for one in find_judged(stage.folder.path, stage.folder.facts()) if one.forget_set == forget]
    console = result_console()
    for one in judged:
        console.print(judged_table(one, console.width), crop=False)
        if (times := time_table(one, console.width)) is not None:
            console.print()
            console.print(times, crop=False)
            console.print()
        for sentence in (*judged_answers(one), *recovered_answers(one)):
            console.print(sentence, soft_wrap=True, highlight=False)
    steps = [one for one in find_memorisation_steps(stage.folder.path) if one.forget_set == forget]
    for known in [one for one in find_memorised(stage.folder.path) if one.forget_set == forget]:
        console.print()
        console.print(memorised_table(known, console.width), crop=False)
        lines = [line for one in known.models if one.role == "unlearned" for line in outlier_lines(one)]
        for sentence in (*memorised_answers(known), *lines):
            console.print(sentence, soft_wrap=True, highlight=False, markup=False)
        if (table := steps_table(steps, console.width)) is not None:
            console.print()
            console.print(table, crop=False)
    names = (
        EXAMINATION_SUMMARY,
        JUDGED_MEASURES,
        JUDGED_EXAMPLES,
        JUDGEMENTS,
        DISTANCES,
        JUDGED_LATENT,
        *OF_SEQUENCES,
        EXAMINATIONS,
    )
    paths = [str(path) for name in names if (path := stage.folder.path / name).is_file()]
    where = f"tables: {', '.join(paths)}"
    console.print(where, soft_wrap=True, highlight=False)
