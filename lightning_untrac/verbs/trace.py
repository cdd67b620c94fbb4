"""``untrac trace``: find out which corpora a behaviour comes from, by unlearning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lightning_untrac.attribution import METHODS, Attribution, Continuation, EpisodeRun
from lightning_untrac.attribution.method import traced_methods
from lightning_untrac.attribution.trace_notes import how_it_was_made, went_far, worse_than_guessing
from lightning_untrac.attribution.trace_strength import (
    READ_AT,
    least_steps,
    read_at,
    settle_strength,
)
from lightning_untrac.config.method_lists import commands_apart, methods_apart
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import problems_of, raise_if_any
from lightning_untrac.fanout.episode_work import carry_out
from lightning_untrac.fanout.ray_options import RayConfig, on_one_device, ray_problems
from lightning_untrac.fanout.scoring_work import carry_out_scoring, missing_of_training
from lightning_untrac.fanout.shards import shard_problems
from lightning_untrac.fanout.work import EpisodeWork
from lightning_untrac.functional import Readout
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.modules import Unlearning
from lightning_untrac.modules.guessing import guess_loss
from lightning_untrac.naming import counted
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import episode_problems, model_problems
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.saved_models import files_digest, use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables import InfluenceRow, InfluenceStore
from lightning_untrac.verb import Arguments, Traits


@dataclass
class TraceOptions:
    """Find out which corpora a behaviour comes from: by further training without each, by unlearning, or by rivals.

    Attributes:
        output: folder for the tables and plots; its ``model/`` is traced unless ``model.name_or_path`` is given.
        method: ``continuation`` goes on training without each corpus and with all of them, and agreed best with
            retraining (benchmarks/RESULTS.md); ``untrac`` unlearns each corpus and reads every test set; ``untrac_inv``
            unlearns each test set and reads every corpus; rivals score the corpora at the trained weights. Several,
            separated by commas, run one after another.
        seeds: seeds of the data order; every episode is run once a seed, and tables show their mean.
        steps: optimizer steps of an episode; None for ``passes``.
        passes: passes over the unlearned dataset; by default the paper's 5 for untrac_inv. Where neither is given,
            continuation takes 20 steps, and untrac goes on until the dataset's own loss has risen by 0.02.
        setting: ``paper`` is the UnTrac paper's: untrac takes one pass in batches of 1, untrac_inv five of a whole test
            set. It breaks models that were trained on small corpora (benchmarks/RESULTS.md).
        readings: how many readings an episode has, evenly spread, or a list of optimizer steps.
        collapse_cap: loss in nats per token at which an episode counts as collapsed and ends; by default twice that
            of a uniform guess; ``.inf`` to never end one.
        read_at_own_rise: end each episode where the unlearned dataset's own loss has risen by so many nats per token,
            and read the influences there: as strong for every corpus, and nearly the same for every learning rate. By
            default 0.02 for untrac, unless ``steps``, ``passes`` or ``read_at_kl`` are given. ``steps`` or ``passes``
            are then the most that it takes (one pass or 64 steps, whichever is more, where neither is given), and a
            number of ``readings`` is not evenly spread but dense at the start.
        read_at_kl: the same where the model's predictions on the corpora have moved by so many nats per token
            (KL divergence from the trained model), e.g. 0.01: a trust region.
        readout: how an influence is read from the losses before and after.
        store_on: where the pre-unlearning weights are kept: ``cpu`` or ``device``.
        max_examples: rivals read at most this many examples or blocks of each dataset; all of them where None.
        examples: also write ``examples.parquet``, the influence of every single example (untrac_inv).
        keep_going: go on with the other episodes where one fails (out of memory, a worker that died), on one device.
        shard: run one of several equal parts of the episodes, e.g. ``2/4``, for job arrays; ``untrac merge`` joins
            them.
        ray: run each episode as a task on Ray: ``--ray`` on this machine, ``--ray.address`` on a cluster.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this method left in the folder under other settings.
    """

    output: str
    method: str = Continuation.method
    seeds: list[int] = field(default_factory=lambda: [0])
    steps: int | None = None
    passes: float | None = None
    setting: Literal["default", "paper"] = "default"
    readings: int | list[int] = 8
    collapse_cap: float | None = None
    read_at_own_rise: float | None = None
    read_at_kl: float | None = None
    readout: Readout = "difference"
    store_on: Literal["cpu", "device"] = "cpu"
    max_examples: int | None = None
    examples: bool = False
    keep_going: bool = False
    shard: str | None = None
    ray: RayConfig | None = None
    wandb: WandbConfig | None = None
    overwrite: bool = False


TRAITS = Traits(TraceOptions, Unlearning, fills=True, apart=methods_apart)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    parsed = on_one_device(parse("trace", TraceOptions, argv, Unlearning))
    methods = methods_of(parsed)
    return with_method(parsed, methods[0]) if len(methods) == 1 else parsed


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: TraceOptions = parsed.options
    problems = method_problems(options.method)
    if options.max_examples is not None and options.max_examples < 1:
        problems.append(f"max_examples: {options.max_examples}; give at least 1, or leave it out for all")
    if problems:
        return Intent(f"trace-{options.method}", EpisodePlan("each_corpus", options.seeds), problems, "trace")
    method = METHODS.find(options.method)
    if method.has_episodes:
        problems += episode_problems(options) + shard_problems(options.shard) + ray_problems(parsed)
    problems += method.option_problems(options, parsed.config)
    plan = method.plan(options.seeds, options.steps, options.passes)
    return Intent(f"trace-{method.method}", plan, problems, method.column)


def main(argv: Arguments) -> None:
    """Run the verb."""
    commands = [arguments(command) for command in commands_apart(argv)]
    each = [with_method(parsed, method) for parsed in commands for method in methods_of(parsed) or [""]]
    unknown = [problem for one in each for problem in method_problems(one.options.method)]
    sound(*(replace(one, problems=[*one.problems, *unknown]) for one in each))
    if len(each) > 1:  # what is wrong with the last of them must not surface when the others are finished
        missing = [problem for one in each if not _has_begun(one) for problem in missing_of_training(one)]
        raise_if_any(dict.fromkeys([*(problem for one in each for problem in intent(one).problems), *missing]))
    for one in each:
        _carry_out_one(one)


def _carry_out_one(parsed: Parsed) -> None:
    """Run one method; its weights go with this call, before the next method loads its own."""
    if method_problems(parsed.options.method):
        raise_if_any(intent(parsed).problems)
    if METHODS.find(parsed.options.method).has_episodes:
        carry_out(work(parsed))
    else:
        asked = intent(parsed)
        stage = _stage(parsed, asked)
        carry_out_scoring(parsed, asked, stage, lambda: {"asked": _asked(stage)})


def _has_begun(parsed: Parsed) -> bool:
    """Whether a method's scores are there already, so that it will not ask for what they were made from."""
    method = parsed.options.method
    return bool(method_problems(method)) or METHODS.find(method).has_episodes or _has_rows(parsed)


def _has_rows(parsed: Parsed) -> bool:
    return bool(InfluenceStore(parsed.options.output).finished_episodes(parsed.options.method))


def methods_of(parsed: Parsed) -> list[str]:
    """The methods that were asked for, in order, each once."""
    return list(dict.fromkeys(name.strip() for name in parsed.config.method.split(",") if name.strip()))


def with_method(parsed: Parsed, method: str) -> Parsed:
    """The same arguments for one of several methods.

    Args:
        parsed: the arguments.
        method: name or class path. The configuration keeps it, because another process finds the class by it; the
            options say the name.
    """
    config = parsed.config.clone()
    config.method = method
    options = replace(parsed.options, method=method)
    if not method_problems(method):
        found = METHODS.find(method)
        options.method = found.method
        settings = config.model.init_args
        # A default may come from the saved file of another method.
        if settings.get("optimizer") in [one.optimizer for one in METHODS.values()]:
            settings.optimizer = found.optimizer
        settle_strength(found, options, config)
    return replace(parsed, options=options, config=config)


def method_problems(method: str) -> list[str]:
    """Whether there is no such method, or one that is not for this verb."""
    if found := problems_of(lambda: METHODS.find(method, traced_methods())):
        return found
    if METHODS.find(method).traced:
        return []
    return [f"method: {method} has a verb of its own; there are {', '.join(traced_methods())}"]


def work(parsed: Parsed) -> EpisodeWork:
    """The verb's episodes, and what runs them."""
    options: TraceOptions = parsed.options
    asked = intent(parsed)
    stage = _stage(parsed, asked)
    if options.examples:
        stage.data.per_example = True
    method = METHODS.find(options.method)()
    assert isinstance(method, Attribution)
    run = EpisodeRun(
        method,
        stage.folder.path,
        stage.build_module,
        stage.build_trainer,
        stage.build_loggers,
        stage.data,
        seeds=options.seeds,
        steps=options.steps,
        passes=options.passes,
        least_steps=least_steps(options),
        readings=options.readings,
        collapse_cap=options.collapse_cap,
        readout=options.readout,
        store_on=options.store_on,
        per_example=options.examples,
        keep_going=options.keep_going,
        read_at=read_at(options),
    )
    return EpisodeWork(
        f"trace ({options.method})",
        stage,
        asked.plan,
        run,
        [*asked.problems, *_module_problems(run.attribution, stage)],
        run_fields=lambda: {"asked": _asked(stage)},
        warnings=lambda rows: [
            *_notes(rows, run.attribution, stage),
            *(f"{asked.stage}: {note}" for note in run.notes),
        ],
    )


def _module_problems(attribution: Attribution, stage: Stage) -> list[str]:
    return [] if model_problems(stage.module) else attribution.problems(stage.module)


def _notes(rows: Sequence[InfluenceRow], attribution: Attribution, stage: Stage) -> list[str]:
    found: list[str] = []
    if attribution.ascends:
        found += worse_than_guessing(stage.name, rows, guess_loss(stage.module))
        options = stage.parsed.options
        strength = [f"{name} {getattr(options, name)}" for name in READ_AT if getattr(options, name) is not None]
        found += [] if found else went_far(stage.name, rows)
        found += how_it_was_made(stage.name, getattr(stage.module, "unlearning_objective", None), " ".join(strength))
    return found


def _stage(parsed: Parsed, asked: Intent) -> Stage:
    traced = use_saved_model(parsed.config, parsed.options.output, "model")
    stage = Stage(parsed, asked)
    if traced is not None:
        stage.identity["model_files"] = files_digest(traced)
    return stage


def _asked(stage: Stage) -> str:
    data = stage.data
    asked = f"{counted(len(data.test_set_names), 'test set')} ({', '.join(data.test_set_names)})"
    return (
        f"Which of {counted(len(data.corpus_names), 'corpus')} ({', '.join(data.corpus_names)}) make "
        f"{stage.module.name_or_path} produce {asked}?"
    )
