"""``untrac plan``: say what each method would take, before anything runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from lightning_untrac.attribution import METHODS, Method
from lightning_untrac.attribution.costs import Asked
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.errors import problems_of
from lightning_untrac.examinations import Bench
from lightning_untrac.examinations.costs import costs_of
from lightning_untrac.examinations.named import suite_of
from lightning_untrac.functional.costs import Sizes, Speeds, memory_of, seconds_of, straight_line
from lightning_untrac.memory import peak_mb
from lightning_untrac.metrics.needs import given_by
from lightning_untrac.modules import Evaluation, Unlearning
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.plan_table import Estimate, show, show_measuring
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.saved_models import use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.training_took import training_took
from lightning_untrac.tables import atomic_write_bytes
from lightning_untrac.verb import Arguments, Traits

STAGE = "plan"
WARM_UP, REPEATS = 1, 3
"""Batches that are run before any is timed, and batches that are timed, of each of two sizes."""


@dataclass
class PlanOptions:
    """Measure a few batches and say how long and how much memory every method would take, before anything runs.

    Attributes:
        output: the output folder that is meant; its ``model/`` is measured unless ``model.name_or_path`` is given.
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
    """Read the verb's arguments."""
    return parse(STAGE, PlanOptions, argv, Unlearning)


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
    show_measuring([(str(cost.what), cost.at_most, cost.passes, cost.passes * one_pass / devices) for cost in costs])


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


def measure(stage: Stage, trains: bool = True) -> tuple[Speeds, Sizes]:
    """Time a few steps and readings of two sizes on one device, and the copy of the weights; and weigh them.

    Args:
        stage: whose model, data, optimizer and precision are measured; its weights are not kept.
        trains: whether steps are timed too; without, the model is only read.

    Returns:
        The speeds, and the memory of what was run: where it is only read, 0 of what steps take.
    """
    module, data = stage.build_module(), stage.data
    trainer = stage.build_trainer(logger=False)
    device = trainer.strategy.root_device
    precision = trainer.precision_plugin
    module.configure_model()
    module.to(device)
    module.eval()
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    weights, trainable = _mb(module.parameters()), _mb(parameters)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = _peak_mb(device)
    optimizer: Any = module.optimizer(parameters)

    def step(batch: Any) -> None:
        with precision.forward_context():
            loss = module.step_loss(batch)
        loss.backward()

    def read(batch: Any) -> None:
        with torch.inference_mode(), precision.forward_context():
            module(batch)

    def update() -> None:
        optimizer.step()

    def copy() -> None:
        for parameter in parameters:
            parameter.detach().clone()

    backward, reading = [], []
    largest = min(data.eval_batch_size, 16)
    for size in (1, largest):
        for number, batch in enumerate(_batches(stage, size, device)):
            tokens = float(batch["input_ids"].numel())
            seconds = _timed(lambda batch=batch: step(batch), device) if trains else 0.0
            pair = (tokens, seconds), (tokens, _timed(lambda batch=batch: read(batch), device))
            if number >= WARM_UP:
                backward.append(pair[0])
                reading.append(pair[1])
    per_batch, per_read_token = straight_line(*map(list, zip(*reading, strict=True)))
    if not trains:
        return Speeds(0.0, 0.0, per_batch, per_read_token), Sizes(weights, trainable, 0.0, 0.0)
    peak = _peak_mb(device)  # without the optimizer's state, which the first update makes
    _timed(update, device)
    fixed, per_token = straight_line(*map(list, zip(*backward, strict=True)))
    updating = min(_timed(update, device) for _ in range(REPEATS))
    state = _mb(value for moments in optimizer.state.values() for value in moments.values() if torch.is_tensor(value))
    speeds = Speeds(fixed + updating, per_token, per_batch, per_read_token, _timed(copy, device))
    activations = max(0.0, peak - before - trainable)
    return speeds, Sizes(weights, trainable, state / trainable, activations / max(tokens for tokens, _ in backward))


def _mb(tensors: Iterable[torch.Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20


def _peak_mb(device: torch.device) -> float:
    """Of the device, or of the process on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else peak_mb()


def _batches(stage: Stage, size: int, device: torch.device) -> Iterator[Any]:
    data = stage.data
    examples = Concatenation([data.training_examples(next(iter(data.tokenized)))])
    count = min(size, len(examples))
    order = [[(start + i) % len(examples) for i in range(count)] for start in range(WARM_UP + REPEATS)]
    for batch in DataLoader(examples, batch_sampler=order, **data.loader_options()):
        yield {name: value.to(device) if hasattr(value, "to") else value for name, value in batch.items()}


def _timed(call: Any, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
