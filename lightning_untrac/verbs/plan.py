"""``untrac plan``: say what each method would take, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.attribution import METHODS, Method
from lightning_untrac.attribution.costs import Asked
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import ConfigurationError, problems_of
from lightning_untrac.examinations import Bench
from lightning_untrac.examinations.costs import costs_of
from lightning_untrac.examinations.named import suite_of
from lightning_untrac.functional.costs import Sizes, Speeds, memory_of, seconds_of
from lightning_untrac.metrics.needs import given_by
from lightning_untrac.modules import Evaluation, Unlearning
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.plan_table import Estimate, show, show_measuring
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.saved_models import use_saved_model
from lightning_untrac.runs.speeds import measure, seconds_a_written_token
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import as_trained
from lightning_untrac.runs.training_took import training_took
from lightning_untrac.tables import atomic_write_bytes
from lightning_untrac.verb import Arguments, Traits

STAGE = "plan"


@dataclass
class PlanOptions:
    """Measure a few batches and say how long and how much memory every method would take, before anything runs.

    Attributes:
        output: the output folder that is meant; its ``model/`` is measured unless ``model.name_or_path`` is given, on
            the data of its training unless there is a configuration.
        methods: separated by commas; all of them where None, or none where ``measures`` are given.
        seeds: as for ``trace``.
        steps: optimizer steps of an episode of methods that unlearn; their own default where None.
        readings: as for ``trace``.
        max_examples: as for ``trace``.
        measures: also say what measuring one model by these takes: sets, names of measures and examinations, as of
            ``untrac evaluate``.
        save: also write the estimates to this file, as JSON: each method's ``seconds``, ``memory_mb``, ``episodes``,
            ``steps`` and ``readings``.
    """

    output: str
    methods: str | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    steps: int | None = None
    readings: int | list[int] = 8
    max_examples: int | None = None
    measures: str | list[str | dict[str, Any]] | None = None
    save: str | None = None


TRAITS = Traits(PlanOptions, Unlearning, repeats=True)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments; without a configuration the data are those of the output folder's training."""
    configured = any(not isinstance(one, str) or one.partition("=")[0] == "--config" for one in argv)
    return parse(STAGE, PlanOptions, argv if configured else as_trained(argv, only_measures=True), Unlearning)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    unknown = problems_of(lambda: _asked(parsed.options.methods))
    if parsed.options.measures is not None:
        unknown += suite_of(parsed.options.measures, judges=False)[1]
    if not _traces(parsed.options):
        if parsed.options.save is not None:
            unknown.append("save: it holds what methods take, and none is named beside measures; give `methods` too")
        return Intent(STAGE, EpisodePlan("one"), unknown, "evaluate")
    return Intent(STAGE, EpisodePlan("each_corpus", parsed.options.seeds), unknown, "trace")


def _traces(options: PlanOptions) -> bool:
    """Whether methods are asked for: measuring alone needs no corpora and test sets."""
    return options.methods is not None or options.measures is None


def _asked(methods: str | None) -> list[type[Method]]:
    """The methods that are meant."""
    return list(METHODS.values()) if methods is None else METHODS.find_all(methods, "methods")


@rank_zero_only
def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: PlanOptions = parsed.options
    asked = intent(parsed)
    use_saved_model(parsed.config, options.output, "model")
    stage = Stage(parsed, asked)
    stage.check(asked.plan, asked.problems)
    if not stage.data.tokenized:
        raise ConfigurationError(["data: name what is to be measured (data.corpora, data.test_sets or data.forget)"])
    devices = stage.build_trainer(logger=False).world_size
    speeds, sizes = measure(stage, trains=_traces(options))
    if _traces(options):
        _show_methods(stage, options, speeds, sizes, devices)
    if options.measures is not None:
        _show_measuring(stage, options, speeds, devices)


def _show_methods(stage: Stage, options: PlanOptions, speeds: Speeds, sizes: Sizes, devices: int) -> None:
    """What each method takes, a row each."""
    methods, of = _asked(options.methods), _of(stage, options)
    estimates = [
        Estimate(
            method.method,
            seconds_of(work, speeds),
            memory_of(work, sizes),
            work,
            method.ends_by_strength(options.steps),
        )
        for method in methods
        if (work := method.work(of)) is not None
    ]
    if options.save is not None:
        atomic_write_bytes(options.save, json.dumps(_plain(estimates, devices), indent=1).encode())
    show(estimates, speeds, devices, [method.method for method in methods], options.output)


def _show_measuring(stage: Stage, options: PlanOptions, speeds: Speeds, devices: int) -> None:
    """What measures and examinations take of one model, a row each."""
    suite, _ = suite_of(options.measures or [], judges=False)
    suite.without_needs(Evaluation.gives("validate") | given_by(stage.config["data"]) | {"reference_log_probs"})
    stage.data.plan = EpisodePlan("one")
    forget = [*stage.data.tokenized_forget, *stage.data.tokenized][0]
    bench = Bench(stage, Compared(str(stage.module.name_or_path), [], {}), forget)
    costs = costs_of(bench, *suite.made())
    data = stage.data.evaluation_data()
    batches = -(-len(data) // stage.data.eval_batch_size)
    one_pass = batches * speeds.reading_batch + float(data.lengths().sum()) * speeds.reading_token
    a_token = seconds_a_written_token(stage) if any(cost.steps for cost in costs) else 0.0
    seconds = [(cost.passes * one_pass + cost.steps * a_token) / devices for cost in costs]
    for note in suite.left_out:
        say(f"plan: {note}")
    show_measuring([(*cost, one) for cost, one in zip(costs, seconds, strict=True)])


def _plain(estimates: Sequence[Estimate], devices: int) -> dict[str, dict[str, float]]:
    return {
        one.method: {
            "seconds": round(one.seconds / devices, 3),
            "memory_mb": round(one.memory_mb, 1),
            "episodes": one.work.episodes,
            "steps": one.work.steps,
            "readings": one.work.readings,
        }
        for one in estimates
    }


def _of(stage: Stage, options: PlanOptions) -> Asked:
    took = training_took(RunFolder(options.output))
    return Asked(
        stage.data,
        options.seeds,
        options.steps,
        options.readings,
        options.max_examples,
        retains="retain" in getattr(stage.module, "streams", ()),
        training_steps=took["steps"] if took else None,
        training_batch_size=_training_batch_size(options.output),
    )


def _training_batch_size(output: str) -> int | None:
    """Examples of a step of the training that was run in a folder, on one device."""
    path = Path(output) / "pretrain.yaml"
    if not path.is_file():
        return None
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    accumulated = config.get("trainer", {}).get("accumulate_grad_batches") or 1
    size = config.get("data", {}).get("batch_size")
    return size * accumulated if size else None
