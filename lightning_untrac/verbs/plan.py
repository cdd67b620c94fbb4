"""``untrac plan``: what every method would take, before anything runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from lightning_untrac.attribution import METHODS, SCORINGS, LeaveOut
from lightning_untrac.attribution.costs import episode_work, pass_work, times
from lightning_untrac.attribution.trace_strength import STRENGTH_STEPS
from lightning_untrac.callbacks.read_at_strength import STRENGTH_READINGS
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.functional.costs import Sizes, Speeds, Work, memory_of, seconds_of, straight_line
from lightning_untrac.memory import peak_mb
from lightning_untrac.modules import Unlearning
from lightning_untrac.runs.phase import Intent, Phase
from lightning_untrac.runs.plan_table import Estimate, show
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.saved_models import use_saved_model
from lightning_untrac.runs.training_took import training_took
from lightning_untrac.tables import atomic_write_bytes

STEP = "plan"
WARM_UP, REPEATS = 1, 3
"""Batches that are run before any is timed, and batches that are timed, of each of two sizes."""


@dataclass
class PlanOptions:
    """Measure a few batches and say how long and how much memory every method would take, before anything runs.

    Attributes:
        output: the output folder that is meant; its ``model/`` is measured unless ``model.name_or_path`` is given.
        methods: separated by commas; all of them where None.
        seeds: as for ``trace``.
        steps: optimizer steps of an episode of methods that unlearn; their own default where None.
        readings: as for ``trace``.
        max_examples: as for ``trace``.
        save: also write the estimates to this file, as JSON: each method's ``seconds``, ``memory_mb``, ``episodes``,
            ``steps`` and ``readings``.
    """

    output: str
    methods: str | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    steps: int | None = None
    readings: int | list[int] = 8
    max_examples: int | None = None
    save: str | None = None


def arguments(argv: Sequence[str]) -> Parsed:
    """Read the verb's arguments."""
    return parse(STEP, PlanOptions, argv, Unlearning)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    known = [*METHODS, *SCORINGS, LeaveOut.method]
    asked = _asked(parsed.options.methods)
    unknown = [f"methods: {name!r} is unknown; there are {', '.join(known)}" for name in asked if name not in known]
    return Intent(STEP, EpisodePlan("each_corpus", parsed.options.seeds), unknown)


def _asked(methods: str | None) -> list[str]:
    every = [*METHODS, LeaveOut.method, *SCORINGS]
    return every if methods is None else [name.strip() for name in methods.split(",") if name.strip()]


@rank_zero_only
def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(STEP, parsed)
    options: PlanOptions = parsed.options
    asked = intent(parsed)
    use_saved_model(parsed.config, options.output, "model")
    phase = Phase(parsed, STEP, kind="each_corpus")
    phase.check(asked.plan, asked.problems)
    speeds, sizes = measure(phase)
    took = training_took(RunFolder(options.output))
    estimates = [
        Estimate(method, seconds_of(work, speeds), memory_of(work, sizes), work, _ends_by_strength(method, options))
        for method in _asked(options.methods)
        if (work := work_of(method, phase, options, took["steps"] if took else None)) is not None
    ]
    devices = phase.build_trainer(logger=False).world_size
    if options.save is not None:
        atomic_write_bytes(options.save, json.dumps(_plain(estimates, devices), indent=1).encode())
    show(estimates, speeds, devices, _asked(options.methods), options.output)


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


def work_of(method: str, phase: Phase, options: PlanOptions, training_steps: int | None) -> Work | None:
    """The work of a method; None where it can't be known (retraining of a model that was not trained here).

    Args:
        method: its name.
        phase: with prepared data.
        options: the verb's.
        training_steps: what ``pretrain`` took.
    """
    data = phase.data
    if method in SCORINGS:
        scoring = SCORINGS[method]
        if not scoring.gradient_passes:
            return Work()
        copies = scoring.weight_copies(len(data.corpus_names), len(data.test_set_names))
        return replace(times(pass_work(data, options.max_examples), scoring.gradient_passes), weight_copies=copies)
    attribution = METHODS.get(method, LeaveOut)
    if method == LeaveOut.method:
        if training_steps is None:
            return None
        before, data.batch_size = data.batch_size, _training_batch_size(options.output) or data.batch_size
        try:
            return episode_work(data, EpisodePlan("leave_one_out", options.seeds, steps=training_steps), 1)
        finally:
            data.batch_size = before
    plan = EpisodePlan(attribution.kind, options.seeds, steps=options.steps)
    plan.with_control = attribution.kind == "continuation"
    readings: int | list[int] = options.readings
    if _ends_by_strength(method, options):
        plan.least_steps = STRENGTH_STEPS
        readings = STRENGTH_READINGS if isinstance(readings, int) else readings
    work = episode_work(data, plan, readings, fits=len(options.seeds))
    if attribution.ascends and "retain" in getattr(phase.module, "streams", ()):
        return replace(work, step_tokens=work.step_tokens * (1 + data.retained_per_example))
    return work


def _ends_by_strength(method: str, options: PlanOptions) -> bool:
    """Whether the episodes of a method mostly end before their last step."""
    return options.steps is None and method in METHODS and METHODS[method].own_rise is not None


def _training_batch_size(output: str) -> int | None:
    """Examples of a step of the training that was run in a folder, on one device."""
    path = Path(output) / "pretrain.yaml"
    if not path.is_file():
        return None
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    accumulated = config.get("trainer", {}).get("accumulate_grad_batches") or 1
    size = config.get("data", {}).get("batch_size")
    return size * accumulated if size else None


def measure(phase: Phase) -> tuple[Speeds, Sizes]:
    """Time a few steps and readings of two sizes on one device, and the copy of the weights; and weigh them.

    Args:
        phase: whose model, data, optimizer and precision are measured; its weights are not kept.

    Returns:
        The speeds, and the memory of what was run.
    """
    module, data = phase.build_module(), phase.data
    trainer = phase.build_trainer(logger=False)
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
        for number, batch in enumerate(_batches(phase, size, device)):
            tokens = float(batch["input_ids"].numel())
            seconds = _timed(lambda batch=batch: step(batch), device)
            pair = (tokens, seconds), (tokens, _timed(lambda batch=batch: read(batch), device))
            if number >= WARM_UP:
                backward.append(pair[0])
                reading.append(pair[1])
    peak = _peak_mb(device)  # without the optimizer's state, which the first update makes
    _timed(update, device)
    fixed, per_token = straight_line(*map(list, zip(*backward, strict=True)))
    updating = min(_timed(update, device) for _ in range(REPEATS))
    per_batch, per_read_token = straight_line(*map(list, zip(*reading, strict=True)))
    state = _mb(value for moments in optimizer.state.values() for value in moments.values() if torch.is_tensor(value))
    speeds = Speeds(fixed + updating, per_token, per_batch, per_read_token, _timed(copy, device))
    activations = max(0.0, peak - before - trainable)
    return speeds, Sizes(weights, trainable, state / trainable, activations / max(tokens for tokens, _ in backward))


def _mb(tensors: Iterable[torch.Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20


def _peak_mb(device: torch.device) -> float:
    """Of the device, or of the process on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else peak_mb()


def _batches(phase: Phase, size: int, device: torch.device) -> Iterator[Any]:
    data = phase.data
    examples = Concatenation([data.training_examples(data.corpus_names[0])])
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
