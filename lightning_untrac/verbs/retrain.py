"""``untrac retrain``: train anew without a forget set, the model that unlearning is held against."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightning_untrac.callbacks import EpisodeProgress, MeasureRecorder, SavePretrained, WeightsMustMove
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics.measure import DEFAULT_MEASURES
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.modules import Pretraining
from lightning_untrac.naming import counted
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.compared import retrained_folder
from lightning_untrac.runs.forget_set import chosen_examples, write_choice
from lightning_untrac.runs.judging import RETRAIN as METHOD
from lightning_untrac.runs.measuring import is_measured, measure, tell_measures
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.saved_models import damage_of, files_digest, use_saved_model
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer
from lightning_untrac.runs.strongest import with_strongest
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import as_trained, training_seed
from lightning_untrac.runs.training_time import timed
from lightning_untrac.runs.training_took import training_took
from lightning_untrac.verb import Arguments, Traits


@dataclass
class RetrainOptions:
    """Train anew without a forget set, from the weights before training, once a seed, and keep the models.

    They show what a model is like that has never seen the set: the aim of unlearning. ``untrac judge`` holds unlearned
    models against them. The settings are those of training as the output folder has them, unless others are given.

    Attributes:
        output: folder with ``initial_model/``, where retraining starts, and for ``retrained-<forget>/seed-<n>/``,
            ``measurements.parquet`` and ``summary.parquet``.
        forget: name of the corpus, test set or forget set that is left out, or ``strongest of <test set>``.
        forget_examples: leave out only these examples of the corpus: a text file with a content hash or a row number a
            line.
        forget_top: leave out only so many examples of the corpus, those of the largest influence in
            ``examples.parquet`` of the same folder.
        forget_top_of: the test set on which their influence counts.
        forget_top_method: the method whose influences count, where the table holds those of several.
        seeds: seeds of the data order; a model a seed. How far these models are apart is the noise of retraining.
        steps: optimizer steps; by default what ``pretrain`` took here.
        measures: what is measured, example by example: names separated by commas or in a list, or class paths of your
            own measures; in a list also with settings, `{class_path: leak_at_k, init_args: {k: 2}}`.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    forget: str
    forget_examples: str | None = None
    forget_top: int | None = None
    forget_top_of: str | None = None
    forget_top_method: str | None = None
    seeds: list[int] = field(default_factory=lambda: [0, 1])
    steps: int | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    wandb: WandbConfig | None = None
    overwrite: bool = False


def _models(folder: Path, stage: str) -> list[Path]:
    every = retrained_folder(folder, stage.removeprefix("retrain-"))
    return [*sorted(every.glob("seed-*")), every]


TRAITS = Traits(RetrainOptions, Pretraining, starts_from="initial_model", method=METHOD, models=_models)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return with_strongest(parse("retrain", RetrainOptions, as_trained(argv), Pretraining))


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: RetrainOptions = parsed.options
    chosen = chosen_examples(options, options.forget)
    forget = chosen.forget_set(options.forget)
    plan = EpisodePlan("without", options.seeds, steps=options.steps, only=(forget,))
    problems = [
        *chosen.problems,
        *measure_problems(options.measures, Pretraining.gives("validate") | given_by(parsed.config.data)),
    ]
    return Intent(f"retrain-{forget}", plan, problems, "leave-out", chosen.choice)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: RetrainOptions = parsed.options
    asked = intent(parsed)
    start = use_saved_model(parsed.config, options.output, "initial_model")
    stage = Stage(parsed, asked)
    if start is not None:
        stage.identity["model_files"] = files_digest(start)
    steps, missing = _steps(options, RunFolder(options.output))
    stage.identity["steps"] = steps  # those of another training are other retrainings
    plan = replace(asked.plan, steps=steps)
    results = {int(seed): retrained_folder(stage.folder.path, plan.only[0]) / f"seed-{seed}" for seed in plan.seeds}
    if stage.is_done and all(_is_finished(stage, plan.only[0], seed, path) for seed, path in results.items()):
        say(f"retrain: finished already; the models are in {results[int(plan.seeds[0])].parent}")
        return
    chosen = chosen_examples(options, options.forget)
    problems = [*asked.problems, *chosen.missing, *missing]
    stage.check(plan, problems, copies=len(results))
    stage.start()
    stage.tell_what_stays(plan.only[0])
    stage.folder.add_notes("warning", list(chosen.notes))
    write_choice(stage, plan.only[0])
    tell_measures(stage, options.measures, {METHOD: "Retraining without it"})
    stage.folder.add_notes("info", _notes(stage, plan))
    with stage.folder.costs(asked.stage):
        for seed, path in results.items():
            stage.data.plan = replace(plan, seeds=(seed,))
            if damage_of(path):
                _retrain(stage, seed, path)
            if stage.fast_dev_run:
                say("retrain: fast_dev_run tried each part once and stored nothing")
                return
            if not is_measured(stage.folder.path, METHOD, plan.only[0], seed):
                _measure(stage, plan.only[0], seed, path)
    stage.mark_done()
    said = f"retrain: {counted(len(results), 'model')}, in {results[int(plan.seeds[0])].parent}"
    say(f"{said}; `untrac judge --forget {plan.only[0]}` holds unlearned models against them")


def _steps(options: RetrainOptions, folder: RunFolder) -> tuple[int | None, list[str]]:
    """Optimizer steps of a retraining, and what is wrong with them."""
    took = training_took(folder)
    steps = options.steps if options.steps is not None or took is None else took["steps"]
    missing = ["steps: not given, and the output folder has no pretrain.json that says what training took"]
    return steps, [] if steps is not None else missing


def _is_finished(stage: Stage, forget: str, seed: int, model: Path) -> bool:
    """Whether a seed's model is whole, and measured."""
    return not damage_of(model) and is_measured(stage.folder.path, METHOD, forget, seed)


def _notes(stage: Stage, plan: EpisodePlan) -> list[str]:
    """What is to be known of retraining without something that training never saw."""
    forget, seeds = plan.only[0], [int(seed) for seed in plan.seeds]
    if forget in stage.data.corpus_names or stage.data.choice is not None:
        return []
    text = f"{stage.name}: {forget} is no corpus, so that retraining without it is training again in another order"
    if (same := training_seed(stage.folder.path)) in seeds:
        text += f"; seed {same} is that of training itself, and its model is the same again"
    say(text)
    return [text]


def _retrain(stage: Stage, seed: int, result: Path) -> None:
    trainer = stage.build_trainer(
        callbacks=[
            timed(stage.folder, result),
            EpisodeProgress(METHOD),
            WeightsMustMove(),
            SavePretrained(result),
        ],
        logger=stage.build_loggers(f"{stage.name} seed {seed}"),
        max_epochs=1,
        limit_val_batches=0,  # the saved model is measured
        enable_checkpointing=False,
    )
    run_trainer(lambda: trainer.fit(stage.build_module(), datamodule=stage.data))
    finish_loggers(trainer)


def _measure(stage: Stage, forget: str, seed: int, model: Path) -> None:
    recorder = MeasureRecorder(
        stage.folder.path, stage.parsed.options.measures, method=METHOD, episode=(forget, seed), model=str(model)
    )
    measure(stage, stage.build_module().of_saved(str(model)), recorder)
