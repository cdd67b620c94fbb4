"""``untrac relearn``: fine-tune unlearned models on a part of what they forgot, and see how fast it comes back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.callbacks import MeasureRecorder
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import problems_of
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.modules import Unlearning
from lightning_untrac.results import result_console
from lightning_untrac.results.relearned import relearned, relearned_table
from lightning_untrac.results.relearned_plot import save_relearned_plot
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import model_problems
from lightning_untrac.runs.compared import Compared, compared_models
from lightning_untrac.runs.forget_set import chosen_before
from lightning_untrac.runs.measuring import measure, tell_measures
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.relearning import PartBy, relearn, take_part, trained
from lightning_untrac.runs.saved_models import raise_if_damaged, use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.strongest import with_strongest
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import as_trained
from lightning_untrac.tables.measurements import MEASUREMENTS, SUMMARY
from lightning_untrac.verb import Arguments, Traits

STEPS: Final = (1, 2, 5, 10, 20, 50)
"""After which the measures are read unless the user says otherwise."""


@dataclass
class RelearnOptions:
    """Fine-tune unlearned models on what they forgot, or a part of it, and see how fast it comes back.

    The original is the ceiling, and models that were retrained without the set, fine-tuned in the same way, are the
    control: what comes back no faster than with them was gone. No model is saved.

    Attributes:
        output: folder with ``model/`` (the original), ``unlearned-<forget>*/`` and ``retrained-<forget>/``, and for
            ``measurements.parquet``, ``summary.parquet`` and ``plots/relearned_<forget>.png``.
        forget: name of the forget set, or ``strongest of <test set>``.
        models: the unlearned models, folders or names of folders in the output folder; by default all of this forget
            set that are there.
        share: the part of the forget set that is fine-tuned on; the rest of it is only asked for. Below 1 it is a
            corpus that is divided.
        by: what is divided: rows, or whole groups (``group`` of the dataset).
        steps: optimizer steps. The optimizer is that of ``unlearn`` (Adam, 5e-5) unless ``model.optimizer`` is given.
        readings: how many readings there are, evenly spread, or a list of optimizer steps.
        measures: what is measured at each of them, of the forget set and of the test sets: names separated by commas or
            in a list, or class paths of your own measures; in a list also with settings.
        seed: of the part and of the data order.
        wandb: watch the runs in Weights & Biases.
    """

    output: str
    forget: str
    models: list[str] | None = None
    share: float = 1.0
    by: PartBy = "row"
    steps: int = 50
    readings: int | list[int] = field(default_factory=lambda: [*STEPS])
    measures: str | list[str | dict[str, Any]] = "loss,answered"
    seed: int = 0
    wandb: WandbConfig | None = None


TRAITS = Traits(RelearnOptions, Unlearning, repeats=True)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return with_strongest(parse("relearn", RelearnOptions, as_trained(argv, only_measures=True), Unlearning))


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: RelearnOptions = parsed.options
    plan = EpisodePlan("one", (options.seed,), steps=options.steps, only=(options.forget,))
    choice, _ = chosen_before(options.output, options.forget)
    problems = measure_problems(options.measures, Unlearning.gives("fit") | given_by(parsed.config.data))
    if not 0 < options.share <= 1:
        problems.append(f"share: {options.share:g}; give a part above 0 and at most 1")
    if choice is not None and options.share != 1:
        problems.append(f"share: {options.forget} is a part of a corpus already; give share: 1")
    if parsed.config.model.init_args.get("unlearning_objective") is not None:
        problems.append("model.unlearning_objective: fine-tuning descends on the set; leave it out")
    return Intent(f"relearn-{options.forget}", plan, problems, "unlearn", choice)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: RelearnOptions = parsed.options
    asked = intent(parsed)
    use_saved_model(parsed.config, options.output, "model")
    parsed.config.data.block_size = None  # questions are asked, and divided, one by one
    stage = Stage(parsed, asked)
    stage.folder.overwrite = True  # it is done anew each time
    models, problems = _models(stage, options)
    _, missing = chosen_before(options.output, options.forget)
    stage.check(asked.plan, [*asked.problems, *problems, *missing])
    part = take_part(stage, options.forget, options.share, options.by, options.seed)
    stage.data.reads = [*part.names, *stage.data.test_set_names]
    stage.data.plan = plan = replace(asked.plan, only=(part.trained,))
    stage.start()
    if not models.retrained:
        stage.tell("warning", CONTROL.format(forget=options.forget))
    names = _names(stage.folder.path, [*models.unlearned, *models.retrained.values()])
    methods = {f"relearn:{name}": name for name in names.values()}
    titles = {method: f"Fine-tuning of {name}" for method, name in methods.items()}
    tell_measures(stage, options.measures, {ORIGINAL: "Before unlearning, beside fine-tuning", **titles})
    with stage.folder.costs(asked.stage):
        recorder = MeasureRecorder(
            stage.folder.path, options.measures, method=ORIGINAL, model=models.original, step=0,
            episode=(part.trained, options.seed),
        )  # fmt: skip
        rows = list(measure(stage, stage.build_module().of_saved(models.original), recorder))
        for path, name in names.items():
            stage.data.plan = plan
            method = f"relearn:{name}"
            recorder = MeasureRecorder(stage.folder.path, options.measures, method=method, model=path, result=method)
            module = trained(stage.parsed.build_module().of_saved(path))
            relearn(stage, module, recorder, options.readings, stage.build_loggers(f"{stage.name} {Path(path).name}"))
            rows += recorder.summary
    if stage.fast_dev_run:
        say("relearn: fast_dev_run tried each part once and stored nothing")
        return
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    stage.mark_done()
    _show(stage, options.forget, rows, methods)


ORIGINAL: Final = "relearn:original"
"""``method`` of the original, which is measured and not fine-tuned."""

CONTROL: Final = (
    "no model was retrained without {forget}, so that nothing shows how fast it is learnt by one that never knew it; "
    "`untrac retrain --forget {forget}` makes one"
)


def _models(stage: Stage, options: RelearnOptions) -> tuple[Compared, list[str]]:
    """The models, and what is wrong with them; that no retrained one is there is no fault."""
    original = str(stage.module.name_or_path)
    datasets = [one.name or one.path for one in (*stage.data.corpora, *stage.data.test_sets, *stage.data.forget)]
    models, problems = compared_models(Path(options.output), options.forget, options.models, original, datasets)
    problems = [one.replace("judge: ", "relearn: ", 1) for one in (problems if models.retrained else problems[1:])]
    for path in models.every if stage.module.name_or_path else models.every[1:]:
        if Path(path).is_dir():
            problems += problems_of(lambda path=path: raise_if_damaged(Path(path)))  # type: ignore[misc]
        problems += [f"{path}: {one}" for one in model_problems(stage.parsed.build_module().of_saved(path))]
    return models, problems


def _names(folder: Path, paths: list[str]) -> dict[str, str]:
    """What each model is called: its folder below the output folder, or its whole path."""
    return {
        path: Path(path).relative_to(folder).as_posix() if Path(path).is_relative_to(folder) else path for path in paths
    }


def _show(stage: Stage, forget: str, rows: list[dict[str, Any]], methods: dict[str, str]) -> None:
    found = relearned(rows, ORIGINAL, methods)
    console = result_console()
    if found:
        console.print(relearned_table(found, console.width), crop=False)
        save_relearned_plot(stage.folder.path, forget, found)
    where = f"tables: {stage.folder.path / SUMMARY}, {stage.folder.path / MEASUREMENTS}"
    console.print(where, soft_wrap=True, highlight=False)
