"""``untrac evaluate``: measure a saved model, and judge one that anybody has unlearned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.callbacks import MeasureRecorder
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.config import ROLES
from lightning_untrac.errors import raise_if_any
from lightning_untrac.examinations import Bench
from lightning_untrac.examinations.costs import costs_of, costs_sentence
from lightning_untrac.examinations.judgement import Judging, concluded_statistics, forget_set_of, judge_models
from lightning_untrac.examinations.named import Suite, suite_of
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.measure import DEFAULT_MEASURES, MeasureNeed
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.modules import Evaluation
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import lost_needs, model_problems
from lightning_untrac.runs.compared import Compared, named_models
from lightning_untrac.runs.fail_if import Condition, conditions, fail_if_met
from lightning_untrac.runs.judged_rows import judged_rows
from lightning_untrac.runs.measuring import examples_of, measure, show_summary, tell_measures
from lightning_untrac.runs.memorisation_options import SequenceOptions
from lightning_untrac.runs.outliers import LevelOf
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.saved_models import raise_if_damaged, use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.verb import Arguments, Traits

STAGE: Final = "evaluate"


@dataclass
class EvaluateOptions:
    """Measure a saved model on every dataset, also beside another model; or judge it as an unlearned one.

    With ``original`` it is judged: held against the model before unlearning, and against models that were retrained
    without the forget set where there are any. It does not matter with which tool they were made.

    Attributes:
        output: folder for ``measurements.parquet`` (a row an example) and ``summary.parquet``, or for the tables of a
            judgement; its ``model/`` is measured unless ``model.name_or_path`` is given.
        original: the model before unlearning (hub name or folder); then the model is judged.
        retrained: models that were trained without the forget set, from the same start.
        forget: name of the forget set that is judged, of ``data.forget`` or a corpus; by default the only one of
            ``data.forget``.
        reference: another model (hub name or folder) that is measured too, without a judgement.
        measures: what is measured: sets (`quick`, `standard`, `full`, `extraction`, `membership`, `robustness`, ...),
            names of measures and (of a judgement) examinations, or class paths of your own, separated by commas or in a
            list; in a list also with settings, `{class_path: leak_at_k, init_args: {k: 2}}`.
        examples: read packed corpora example by example, so that a row is an example and not a block.
        level: of a judgement, what the level of unseen text is: see ``untrac judge``.
        by_group: of a judgement, every group of the forget set has a level of its own.
        fail_if: end with exit code 3 where this is so of the measured model: `answered > 0.05`, of one dataset
            `loss/forum < 2`, of a statistic `extraction_strength.max > 0.2` (`mean` by default, `worst_in_group`,
            `example_mean`, `perplexity` of a loss, `max` or `min` of single examples); several in a list or separated
            by commas. Of a judgement also of what it concludes: `attack_loss.auc > 0.6`, and of an examination, with
            what was done to the model: `loss.mean@nf4/forum < 2`.
        wandb: log to Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    original: str | None = None
    retrained: list[str] | None = None
    forget: str | None = None
    reference: str | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    examples: bool = False
    level: LevelOf | None = None
    by_group: bool = False
    fail_if: str | list[str] | None = None
    wandb: WandbConfig | None = None
    overwrite: bool = False


TRAITS = Traits(EvaluateOptions, Evaluation, repeats=True)

ALONE: Final = "examinations hold a model against the one before unlearning; give it (--original MODEL)"


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return parse(STAGE, EvaluateOptions, argv, Evaluation)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    data = parsed.config.data
    options: EvaluateOptions = parsed.options
    missing = "data: no corpora, test_sets, forget or holdout are given; name at least one dataset to measure"
    problems = [] if any(data.get(role) for role in ROLES) else [missing]
    suite, found = _suite(parsed)
    given = _given(parsed)
    problems += found or (measure_problems(suite.measures, given) if suite.measures else [])
    problems += _conditions(options, suite)[1]
    if options.original is None:
        beside = {"retrained": options.retrained, "forget": options.forget, "level": options.level}
        problems += [
            f"{name}: belongs to a judgement; give the model before unlearning too (--original MODEL)"
            for name, value in beside.items()
            if value is not None
        ]
        return Intent(STAGE, EpisodePlan("one"), problems, STAGE)
    forget, wrong = forget_set_of(data, options.forget)
    problems += wrong
    if options.reference is not None:
        problems.append("reference: a judgement measures every model; leave it out, or leave out original")
    return Intent(STAGE, EpisodePlan("one", only=(forget,) if forget else ()), problems, STAGE)


def _given(parsed: Parsed) -> frozenset[MeasureNeed]:
    options: EvaluateOptions = parsed.options
    beside = options.reference or options.original
    of_reference: frozenset[MeasureNeed] = frozenset({"reference_log_probs"} if beside else ())
    return Evaluation.gives("validate") | given_by(parsed.config.data) | of_reference


def _conditions(options: EvaluateOptions, suite: Suite) -> tuple[list[Condition], list[str]]:
    """What the command is to fail on, and what is wrong with it."""
    return conditions(options.fail_if, () if options.original is None else concluded_statistics(suite))


def _suite(parsed: Parsed) -> tuple[Suite, list[str]]:
    """What is asked for, and what is wrong with it."""
    options: EvaluateOptions = parsed.options
    suite, problems = suite_of(options.measures, judges=options.original is not None)
    suite.without_needs(_given(parsed) - lost_needs(parsed.config.trainer))
    if options.original is None:
        named = [one for one in suite.examinations if one not in suite.of_sets]
        problems += [f"measures: {one}: {ALONE}" for one in named]
        suite.left_out += [f"left out: {one}; {ALONE}" for one in suite.examinations if one not in named]
        suite.examinations = []
    return suite, problems


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: EvaluateOptions = parsed.options
    asked = intent(parsed)
    measured = use_saved_model(parsed.config, options.output, "model", named=True)
    for folder in (measured, Path(options.reference) if options.reference else None):
        if folder is not None and folder.is_dir():
            raise_if_damaged(folder)
    stage = Stage(parsed, asked)
    # Another model on the same folder adds rows; nothing here is ever a half-finished run.
    stage.folder.overwrite = True
    stage.data.per_example |= options.examples
    suite, _ = _suite(parsed)
    fails, _ = _conditions(options, suite)
    if options.original is not None:
        _judge(stage, asked, suite, fails)
    else:
        _measure(stage, asked, suite, fails)


def _measure(stage: Stage, asked: Intent, suite: Suite, fails: list[Condition]) -> None:
    """Measure the model, and the reference."""
    options: EvaluateOptions = stage.parsed.options
    stage.check(asked.plan, asked.problems + _reference_problems(stage))
    stage.data.plan = asked.plan
    names = [measure.name for measure in find_measures(suite.measures)]
    raise_if_any(problem for one in fails for problem in one.problems(names, stage.data.evaluation_names))
    stage.start()
    for note in suite.left_out:
        stage.tell("info", note)
    tell_measures(stage, suite.measures)
    models = [options.reference] if options.reference else []
    bench = Bench(stage, Compared(str(stage.module.name_or_path), models, {}), "")
    measures, _ = suite.made()
    stage.tell("info", costs_sentence(bench, measures, costs_of(bench, measures, [])))
    with stage.folder.costs(STAGE):
        module = stage.build_module()
        module.reference_path = options.reference
        own = rows = measure(stage, module, MeasureRecorder(stage.folder.path, suite.measures))
        if options.reference is not None:
            module = stage.build_module()
            module.name_or_path, module.config = options.reference, None
            module.reference_path = options.reference
            rows = [*measure(stage, module, MeasureRecorder(stage.folder.path, suite.measures)), *rows]
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    stage.mark_done()
    show_summary(stage, rows, ("reference", "model"))
    if fails:
        fail_if_met(fails, own, examples_of(stage.folder.path, own[0]["model"]))


def _judge(stage: Stage, asked: Intent, suite: Suite, fails: list[Condition]) -> None:
    """Judge the model beside the original and the retrained ones."""
    options: EvaluateOptions = stage.parsed.options
    assert options.original is not None
    unlearned = str(stage.module.name_or_path)
    models, problems = named_models(options.original, [unlearned], options.retrained or [])
    if stage.module.name_or_path is None:
        problems.append("model.name_or_path: name the unlearned model that is judged")
    (forget,) = asked.plan.only or ("",)
    stage.data.plan = asked.plan
    sequences = SequenceOptions(
        options.level, options.by_group, neighbours=suite.neighbours, attacks=["loss", *suite.attacks]
    )
    judging = Judging(forget, suite, sequences, wandb=options.wandb, fails=fails)
    judge_models(stage, models, judging, [*asked.problems, *problems])
    if fails and not stage.fast_dev_run and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        fail_if_met(fails, *judged_rows(stage.folder.path, forget, unlearned))


def _reference_problems(stage: Stage) -> list[str]:
    reference = stage.parsed.options.reference
    if reference is None:
        return []
    module = stage.parsed.build_module()
    module.name_or_path, module.config = reference, None
    return [f"reference: {problem}" for problem in model_problems(module)]
