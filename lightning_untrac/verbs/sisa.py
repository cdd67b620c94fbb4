"""``untrac sisa``: train an ensemble of shards, and forget by training again only what held a forgotten sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_untrac.callbacks import MeasureRecorder
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.config import NAME_PATTERN
from lightning_untrac.data.shards import ShardedSamples
from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.costs import duration
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.memory import peak_mb
from lightning_untrac.metrics.measure import DEFAULT_MEASURES
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.modules import Pretraining
from lightning_untrac.modules.adapters import adapter_folder
from lightning_untrac.naming import counted, named_method
from lightning_untrac.results.model_card import CARD
from lightning_untrac.results.training_time import TRAINING_SECONDS
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.forget_set import chosen_examples, write_choice
from lightning_untrac.runs.measuring import is_measured, measure, quote_survivors, show_summary, tell_measures
from lightning_untrac.runs.model_cards import write_model_card
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.saved_models import damage_of, files_digest, use_saved_model
from lightning_untrac.runs.sharded import ShardedTraining, State, passes_of_slices, save_ensemble
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.strongest import with_strongest
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import as_trained
from lightning_untrac.runs.training_took import training_took
from lightning_untrac.verb import Arguments, Traits


@dataclass
class SisaOptions:
    """Train one model a shard of the data, slice by slice, and forget by going back to the slice before.

    Bourtoule et al. 2021, "Machine Unlearning" (arXiv 1912.03817): sharded, isolated, sliced and aggregated training.
    The ensemble predicts the mean of its members' probabilities. What it is after forgetting is to the last bit what it
    would be if it had never been trained on the forget set. The settings are those of training as the output folder has
    them, unless others are given.

    Attributes:
        output: folder with ``initial_model/``, where every member starts, and for ``sisa-<shards>x<slices>/`` (the
            members after each slice, and the ensemble with everything), ``unlearned-<forget>-sisa/`` (the ensemble
            afterwards), ``measurements.parquet`` and ``summary.parquet``.
        forget: name of the corpus to forget, or ``strongest of <test set>``.
        shards: how many parts the samples are split into, by a hash of their texts; a member each.
        slices: of each shard; a member is kept after each.
        forget_examples: forget only these examples of the corpus: a text file with a content hash or a row number a
            line.
        forget_top: forget only so many examples of the corpus, those of the largest influence in ``examples.parquet``
            of the same folder.
        forget_top_of: the test set on which their influence counts.
        forget_top_method: the method whose influences count, where the table holds those of several.
        name: what the run is called beside others: the model is ``unlearned-<forget>-<name>-sisa/``.
        seed: of the split and of the data order.
        passes: passes of each member over its shard, all slices together; by default as many as ``pretrain`` took.
        measures: what is measured, example by example: names separated by commas or in a list, or class paths of your
            own measures; in a list also with settings, `{class_path: leak_at_k, init_args: {k: 2}}`.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    forget: str
    shards: int = 4
    slices: int = 2
    forget_examples: str | None = None
    forget_top: int | None = None
    forget_top_of: str | None = None
    forget_top_method: str | None = None
    name: str | None = None
    seed: int = 0
    passes: float | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    wandb: WandbConfig | None = None
    overwrite: bool = False


def _models(folder: Path, stage: str) -> list[Path]:
    return [folder / f"unlearned-{stage.removeprefix('sisa-')}-sisa"]


TRAITS = Traits(SisaOptions, Pretraining, starts_from="initial_model", models=_models)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return with_strongest(parse("sisa", SisaOptions, as_trained(argv), Pretraining))


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: SisaOptions = parsed.options
    chosen = chosen_examples(options, options.forget)
    forget = chosen.forget_set(options.forget)
    plan = EpisodePlan("without", (options.seed,), passes=options.passes, only=(forget,))
    problems = [
        *chosen.problems,
        *measure_problems(options.measures, Pretraining.gives("validate") | given_by(parsed.config.data)),
    ]
    if options.shards < 2:
        problems.append(f"shards: {options.shards}; give at least 2, a model each")
    if options.slices < 1:
        problems.append(f"slices: {options.slices}; give at least 1, which is the whole shard")
    if options.name is not None and not NAME_PATTERN.fullmatch(options.name):
        problems.append(f"name: {options.name!r} can't be a file name; use letters, digits, '.', '-' and '_'")
    of_run = forget if options.name is None else f"{forget}-{options.name}"
    return Intent(f"sisa-{of_run}", plan, problems, "leave-out", chosen.choice)


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: SisaOptions = parsed.options
    asked = intent(parsed)
    (forget,) = asked.plan.only
    start = use_saved_model(parsed.config, options.output, "initial_model")
    stage = Stage(parsed, asked)
    if start is not None:
        stage.identity["model_files"] = files_digest(start)
    passes, missing = _passes(options, RunFolder(options.output))
    stage.identity["passes"] = passes  # those of another training make other members
    plan = replace(asked.plan, passes=passes)
    (result,) = _models(stage.folder.path, stage.name)
    method = named_method(f"sisa:{options.shards}x{options.slices}", options.name)
    if stage.is_done and not damage_of(result) and is_measured(stage.folder.path, method, forget, options.seed):
        say(f"sisa: finished already; the ensemble is in {result}")
        return
    chosen = chosen_examples(options, options.forget)
    problems = [*asked.problems, *chosen.missing, *missing, *_model_problems(stage)]
    stage.check(plan, problems, copies=options.shards * 2 * (options.slices + 1))
    samples = _samples(stage, options, forget)
    stage.data.plan = asked.plan
    stage.start()
    stage.tell_what_stays(forget)
    stage.folder.add_notes("warning", list(chosen.notes))
    for note in _lost_classes(stage, samples):
        stage.tell("warning", note)
    write_choice(stage, forget)
    sizes = f"{counted(options.shards, 'shard')} of {counted(options.slices, 'slice')}"
    tell_measures(stage, options.measures, {method: named_method(f"SISA, {sizes}", options.name)})
    seeded = f"-seed-{options.seed}" if options.seed else ""
    folder = stage.folder.path / f"sisa-{options.shards}x{options.slices}{seeded}"
    each = passes_of_slices(plan.num_passes, options.slices)
    training = ShardedTraining(stage, samples, plan, folder, each)
    shards = range(options.shards)
    all_states = [training.states(shard, without=False) for shard in shards]
    left_states = [training.states(shard, without=True) for shard in shards]
    first = stage.module.name_or_path
    with stage.folder.costs(stage.name):
        if stage.fast_dev_run:
            training.train(all_states[0][:1], first)
            say("sisa: fast_dev_run tried each part once and stored nothing")
            return
        whole = [training.train(states, first) for states in all_states]
        left = [training.train(states, first) for states in left_states]
        facts = {"shards": options.shards, "slices": options.slices, "seed": options.seed}
        before = folder / "ensemble"
        save_ensemble(before, whole, facts)
        save_ensemble(result, left, {**facts, "forgotten": forget})
        again = _only_in(left_states, all_states)
        steps = sum(training.took()[state.key]["steps"] for state in again)
        rows: list[dict[str, Any]] = []
        for model, step in ((before, 0), (result, steps)):
            state: dict[str, Any] = {"method": method, "episode": (forget, options.seed), "step": step}
            recorder = MeasureRecorder(stage.folder.path, options.measures, model=str(model), **state)
            rows += measure(stage, stage.build_module().of_saved(str(model)), recorder)
    said = _account(stage, training, all_states, again)
    quote_survivors(stage, forget)
    trained = {
        "objective": f"SISA (arXiv 1912.03817): {sizes}, a model a shard; {said}",
        "members": f"{counted(options.shards, 'folder')}, each of which transformers loads by itself "
        "(`from_pretrained('.../shard-1')`); the ensemble predicts the mean of their probabilities (lightning-untrac "
        "loads this folder so)",
        "passes over a shard": f"{plan.num_passes:g}",
        "examples in a step": stage.identity.get("effective_batch_size"),
        "seed": options.seed,
    }
    write_model_card(stage, result, method, options.seed, trained, {"steps": steps}, f"{folder.name}/{before.name}")
    stage.mark_done()
    stage.tell("info", said)
    say(f"model: {result}, an ensemble, with a card of what was done to it ({CARD})")
    show_summary(stage, rows)


def _passes(options: SisaOptions, folder: RunFolder) -> tuple[float | None, list[str]]:
    """Passes over a shard, and what is wrong with them."""
    took = training_took(folder)
    passes = options.passes if options.passes is not None or took is None else took["passes"]
    missing = ["passes: not given, and the output folder has no pretrain.json that says what training took"]
    return passes, [] if passes is not None else missing


def _model_problems(stage: Stage) -> list[str]:
    """What the members can't be, or be trained on."""
    found = []
    if stage.replicas > 1:
        found.append(
            f"trainer.devices: {stage.replicas} ranks; sisa trains its members one after another on one device. Give "
            "--trainer.devices 1"
        )
    if adapter_folder(stage.module.name_or_path) or stage.module.lora is not None:
        found.append("model: adapters are no members of an ensemble here; train whole weights (no model.lora)")
    return found


def _samples(stage: Stage, options: SisaOptions, forget: str) -> ShardedSamples:
    """The samples of the training that is to be undone, in their places.

    Raises:
        ConfigurationError: with everything that is wrong with them.
    """
    data, problems = stage.data, []
    if stage.module.is_seq2seq:
        problems.append("model: encoder-decoders are no members of an ensemble here; give a decoder or a classifier")
    if forget not in data.corpus_names and data.choice is None:
        problems.append(f"forget: {forget} is no corpus, so that no shard holds any of it; name a corpus")
    if any(data.is_packed(name) for name in data.corpus_names):
        problems.append(
            f"data.block_size: {data.block_size} packs the corpora into blocks that hold parts of several examples, "
            "and shards are made of whole ones; set data.block_size: null"
        )
    if any(corpus.config.share is not None for corpus in data.tokenized_corpora.values()):
        problems.append("data.corpora: a `share` is of a whole training, and a shard has what it has; leave them out")
    raise_if_any(problems)
    names = sorted({*data.corpus_names, forget})
    samples = ShardedSamples(
        [data.tokenized[name] for name in names], forget, options.shards, options.slices, options.seed
    )
    if options.shards > len(samples):
        raise_if_any([f"shards: {options.shards}, and there are {counted(len(samples), 'sample')}; give fewer"])
    empty = [
        str(shard + 1) for shard in range(options.shards) if not len(samples.rows(shard, options.slices, without=True))
    ]
    if empty:
        problems.append(
            f"shards: of {options.shards}, number {', '.join(empty)} would hold no sample without {forget}, and have "
            f"no model; give fewer, or another seed (there are {len(samples)} samples, of which "
            f"{samples.forgotten.sum()} are to go)"
        )
    raise_if_any(problems)
    return samples


def _lost_classes(stage: Stage, samples: ShardedSamples) -> list[str]:
    """Which members of a classifier will not know a class."""
    names, found = stage.module.task.labels, []
    for shard in range(samples.shards) if names else ():
        known = samples.class_ids(samples.rows(shard, samples.slices, without=True))
        if lost := [repr(name) for index, name in enumerate(names) if index not in known]:
            found.append(f"shard {shard + 1} holds no sample of {', '.join(lost)}, so that its model won't know it")
    return found


def _only_in(states: list[list[State]], others: list[list[State]]) -> list[State]:
    """States of members that are none of others."""
    known = {state.key for member in others for state in member}
    return [state for member in states for state in member if state.key not in known]


def _account(stage: Stage, training: ShardedTraining, all_states: list[list[State]], again: list[State]) -> str:
    """Write what training and forgetting took, each by itself, and say it."""
    took, peak = training.took(), round(peak_mb(), 1)
    seconds = {
        f"{stage.name}: the ensemble with everything": sum(took[s.key]["seconds"] for one in all_states for s in one),
        stage.name: sum(took[state.key]["seconds"] for state in again),
    }
    for step, number in seconds.items():
        stage.folder.add_cost({"step": step, "seconds": round(number, 2), "peak_memory_mb": peak})
    trained = round(sum(took[state.key].get("training_seconds", math.nan) for state in again), 2)
    if math.isfinite(trained):  # states of an earlier version do not say it
        name = _models(stage.folder.path, stage.name)[0].name
        stage.folder.add_to_run(**{TRAINING_SECONDS: {name: trained}})
    whole, forgetting = map(duration, seconds.values())
    return (
        f"{len({state.shard for state in again})} of {counted(len(all_states), 'shard')} and {len(again)} of "
        f"{counted(sum(map(len, all_states)), 'slice')} were trained again without what is forgotten, in "
        f"{counted(sum(took[state.key]['steps'] for state in again), 'step')} and {forgetting}; training the ensemble "
        f"with everything took {whole}"
    )
