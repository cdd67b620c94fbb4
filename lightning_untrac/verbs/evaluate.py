"""``untrac evaluate``: measure a saved model, also beside another model."""

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
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.measure import DEFAULT_MEASURES, MeasureNeed, given_by, measure_problems
from lightning_untrac.modules import Evaluation
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import model_problems
from lightning_untrac.runs.fail_if import conditions, fail_if_met
from lightning_untrac.runs.measuring import examples_of, measure, show_summary, tell_measures
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.saved_models import files_digest, use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.verb import Arguments, Traits

STAGE: Final = "evaluate"


@dataclass
class EvaluateOptions:
    """Measure a saved model on every corpus and test set, also beside another model.

    Attributes:
        output: folder for ``measurements.parquet`` (a row an example) and ``summary.parquet``; its ``model/`` is
            measured unless ``model.name_or_path`` is given.
        reference: another model (hub name or folder) that is measured too.
        measures: what is measured: names separated by commas or in a list, or class paths of your own measures; in a
            list also with settings, `{class_path: leak_at_k, init_args: {k: 2}}`.
        examples: read packed corpora example by example, so that a row is an example and not a block.
        fail_if: end with exit code 3 where this is so of the measured model: `answered > 0.05`, of one dataset
            `loss/forum < 2`, of a statistic `extraction_strength.max > 0.2` (`mean` by default, `worst_in_group`,
            `example_mean`, `max` or `min` of single examples); several in a list or separated by commas.
        wandb: log to Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    reference: str | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    examples: bool = False
    fail_if: str | list[str] | None = None
    wandb: WandbConfig | None = None
    overwrite: bool = False


TRAITS = Traits(EvaluateOptions, Evaluation, repeats=True)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return parse(STAGE, EvaluateOptions, argv, Evaluation)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    data = parsed.config.data
    options: EvaluateOptions = parsed.options
    missing = "data: no corpora, test_sets, forget or holdout are given; name at least one dataset to measure"
    problems = [] if any(data.get(role) for role in ROLES) else [missing]
    of_reference: frozenset[MeasureNeed] = frozenset({"reference_log_probs"} if options.reference else ())
    given = Evaluation.gives("validate") | given_by(parsed.config.data) | of_reference
    problems += measure_problems(options.measures, given)
    problems += conditions(options.fail_if)[1]
    return Intent(STAGE, EpisodePlan("one"), problems, STAGE)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: EvaluateOptions = parsed.options
    asked = intent(parsed)
    measured = use_saved_model(parsed.config, options.output, "model", named=True)
    for folder in (measured, Path(options.reference) if options.reference else None):
        if folder is not None and folder.is_dir():
            files_digest(folder)  # is held against its checksums
    stage = Stage(parsed, asked)
    # Another model on the same folder adds rows; nothing here is ever a half-finished run.
    stage.folder.overwrite = True
    stage.data.per_example |= options.examples
    fails, _ = conditions(options.fail_if)
    stage.check(asked.plan, asked.problems + _reference_problems(stage))
    stage.data.plan = asked.plan
    names = [measure.name for measure in find_measures(options.measures)]
    raise_if_any(problem for one in fails for problem in one.problems(names, stage.data.evaluation_names))
    stage.start()
    tell_measures(stage, options.measures)
    with stage.folder.costs(STAGE):
        module = stage.build_module()
        module.reference_path = options.reference
        own = rows = measure(stage, module, MeasureRecorder(stage.folder.path, options.measures))
        if options.reference is not None:
            module = stage.build_module()
            module.name_or_path, module.config = options.reference, None
            module.reference_path = options.reference
            rows = [*measure(stage, module, MeasureRecorder(stage.folder.path, options.measures)), *rows]
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    stage.mark_done()
    show_summary(stage, rows, ("reference", "model"))
    if fails:
        fail_if_met(fails, own, examples_of(stage.folder.path, own[0]["model"]))


def _reference_problems(stage: Stage) -> list[str]:
    reference = stage.parsed.options.reference
    if reference is None:
        return []
    module = stage.parsed.build_module()
    module.name_or_path, module.config = reference, None
    return [f"reference: {problem}" for problem in model_problems(module)]
