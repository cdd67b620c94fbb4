"""How fast a machine steps, reads and writes with a model, and what its parts weigh."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import torch
from torch.utils.data import DataLoader

from lightning_untrac.data.loading import Concatenation
from lightning_untrac.functional.costs import Sizes, Speeds, straight_line
from lightning_untrac.memory import peak_mb
from lightning_untrac.modules.after_misses import Miss, whole_texts
from lightning_untrac.runs.stage import Stage

WARM_UP, REPEATS = 1, 3
"""Batches that are run before any is timed, and batches that are timed, of each of two sizes."""

WRITTEN: Final = 16
"""Tokens that a model writes of each text while it is timed."""


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


def seconds_a_written_token(stage: Stage) -> float:
    """In which each text of a batch of ``data.eval_batch_size`` gets another token, on one device.

    It is the difference between writing many and one.

    Args:
        stage: whose model writes; no classifier.
    """
    module, trainer = stage.build_module(), stage.build_trainer(logger=False)
    device = trainer.strategy.root_device
    module.configure_model()
    module.to(device)
    module.trainer = trainer
    size = stage.data.eval_batch_size
    rows = next(_batches(stage, size, device))["input_ids"].tolist()
    rows = [rows[index % len(rows)] for index in range(size)]
    context = (module.target_context_length if module.is_seq2seq else module.context_length) or WRITTEN + 2
    count = max(1, min(WRITTEN, context - 2))

    def write(tokens: int) -> None:
        whole_texts(module, [Miss(0, 0, row[:1], 1 + tokens, row if module.is_seq2seq else []) for row in rows])

    write(1)  # to warm up
    one, many = (min(_timed(lambda n=n: write(n), device) for _ in range(REPEATS)) for n in (1, 1 + count))
    return max(0.0, many - one) / count


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
