"""Tokens per second and model FLOP utilisation of ascent and of reading, for every strategy, compiled and not.

    python benchmarks/throughput.py                                           a small model on the CPU: about a minute
    python benchmarks/throughput.py --sizes 125M 1B --precision bf16-true --batch-size 8 --length 1024     on a GPU

A causal Llama from a config is traced with the real parts (Unlearning, CorpusDataModule, PreUnlearningWeights,
ReadingSchedule, InfluenceLogger) under one device; a callback times optimizer steps and reading batches between device
synchronisations, without the first ones. Printed per row: milliseconds per step and per reading batch, tokens per
second, model FLOP utilisation (MFU), and peak memory of the device.

FLOPs of a token: ``6 N + 12 L H T`` for a step, a third of it for a reading (PaLM, arXiv:2204.02311, appendix B), with
N the parameters without embeddings, L layers, H the width (heads x their width) and T tokens of a sequence. MFU needs
the device's dense peak, which is known for those in ``PEAK_FLOPS``; on a CPU none is printed. bf16-true loses small
steps (bf16-mixed does not); it is timed here because it is the fastest.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "A10": 125e12, "V100": 125e12}
"""Dense bf16 (V100: fp16) tensor-core FLOP/s of the SXM variant, by a part of the device's name (data sheets)."""

SIZES = {
    "tiny": {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6},
    "125M": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "1B": {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 16},
}
WARM_UP = 3


class StepTimes(Callback):
    """Seconds of every optimizer step and of every reading batch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.readings: list[float] = []
        self._start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Begin a step."""
        self._start = synchronised_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """End a step."""
        self.steps.append(synchronised_time() - self._start)

    def on_validation_batch_start(self, *_: Any) -> None:
        """Begin a reading batch."""
        self._start = synchronised_time()

    def on_validation_batch_end(self, *_: Any) -> None:
        """End a reading batch."""
        self.readings.append(synchronised_time() - self._start)


def synchronised_time() -> float:
    """Seconds, when the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def strategy(name: str) -> Any:
    """A Trainer's strategy."""
    if name != "fsdp2":
        return name
    from lightning.pytorch.strategies import ModelParallelStrategy

    return ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=1)


def write_data(folder: Path, batch_size: int, length: int, steps: int) -> list[dict[str, str]]:
    """Files of random letters: enough for the steps, and a test set of as many full batches."""
    letters = torch.randint(
        97, 123, (2, steps * batch_size * length), generator=torch.manual_seed(0), dtype=torch.uint8
    )
    found = []
    for name, stream in zip(("corpus", "test"), letters, strict=True):
        # One token is added at the beginning of a document.
        rows = stream.view(-1, length)[:, : length - 1].numpy()
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": row.tobytes().decode()}) + "\n" for row in rows))
        found.append({"name": name, "path": str(path)})
    return found


def run(given: argparse.Namespace, size: str, strategy_name: str, compiled: bool) -> str:
    """One row."""
    from lightning_untrac import (
        CorpusDataModule,
        DatasetConfig,
        EpisodePlan,
        InfluenceLogger,
        PreUnlearningWeights,
        ReadingSchedule,
        Unlearning,
    )

    if strategy_name == "fsdp" and given.accelerator == "cpu":
        return "not run: FSDP1 needs a GPU"
    options: dict[str, Any] = {}
    if compiled:
        if "compile" not in inspect.signature(Unlearning).parameters:
            return "not run: this version has no `compile`"
        options["compile"] = True
    shape = SIZES[size]
    module = Unlearning(
        config={"model_type": "llama", **shape, "intermediate_size": 4 * shape["hidden_size"],
                "num_key_value_heads": shape["num_attention_heads"], "max_position_embeddings": given.length},
        tokenizer="byte", dtype="bfloat16" if given.precision == "bf16-true" else "float32", **options,
    )  # fmt: skip
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times = StepTimes()
    with tempfile.TemporaryDirectory() as name:
        entries = write_data(Path(name), given.batch_size, given.length, given.steps)
        corpus, test_set = (DatasetConfig(**entry) for entry in entries)
        data = CorpusDataModule(
            [corpus], [test_set], batch_size=given.batch_size, eval_batch_size=given.batch_size,
            max_length=given.length, cache_folder=name, plan=EpisodePlan("each_corpus", steps=given.steps),
        )  # fmt: skip
        trainer = L.Trainer(
            accelerator=given.accelerator, devices=1, strategy=strategy(strategy_name), precision=given.precision,
            max_epochs=1, reload_dataloaders_every_n_epochs=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
            callbacks=[PreUnlearningWeights(), ReadingSchedule(1), InfluenceLogger(), times],
        )  # fmt: skip
        trainer.fit(module, datamodule=data)
    model: Any = module.model
    return described(given, shape, model, times)


def described(given: argparse.Namespace, shape: dict[str, int], model: Any, times: StepTimes) -> str:
    """A row's figures, in words."""
    embeddings = sum(p.numel() for p in model.get_input_embeddings().parameters())
    embeddings += sum(p.numel() for p in model.get_output_embeddings().parameters())
    inner = sum(p.numel() for p in model.parameters()) - embeddings
    flops = 6 * inner + 12 * shape["num_hidden_layers"] * shape["hidden_size"] * given.length
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)
    parts = []
    for what, found, cost in (("ascent", times.steps, flops), ("reading", times.readings, flops / 3)):
        seconds = statistics.median(found[WARM_UP:])
        rate = given.batch_size * given.length / seconds
        utilisation = f", MFU {100 * rate * cost / peak:.1f} %" if peak else ""
        parts.append(f"{what} {1e3 * seconds:.1f} ms, {rate:,.0f} tokens/s{utilisation}")
    if torch.cuda.is_available():
        parts.append(f"peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return "; ".join(parts)


def main(given: argparse.Namespace) -> None:
    """Print all rows; one that fails says why and the others go on."""
    for size in given.sizes:
        for name in given.strategies:
            for compiled in {"off": [False], "on": [True], "both": [False, True]}[given.compile]:
                told = io.StringIO()
                try:
                    with contextlib.redirect_stderr(told):
                        row = run(given, size, name, compiled)
                except Exception as error:  # a row of a table: the others are still wanted
                    row = f"failed: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
                print(f"{size} {name} compile {'on' if compiled else 'off'}: {row}", flush=True)
                if torch.distributed.is_available() and torch.distributed.is_initialized():
                    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["125M", "1B"] if gpu else ["tiny"])
    parser.add_argument("--strategies", nargs="+", choices=("auto", "fsdp", "fsdp2"), default=["auto", "fsdp", "fsdp2"])
    parser.add_argument("--compile", choices=("off", "on", "both"), default="both")
    parser.add_argument("--accelerator", default="gpu" if gpu else "cpu")
    parser.add_argument("--precision", default="bf16-true" if gpu else "32-true")
    parser.add_argument("--batch-size", type=int, default=8 if gpu else 4)
    parser.add_argument("--length", type=int, default=1024 if gpu else 128)
    parser.add_argument("--steps", type=int, default=30 if gpu else 12)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    main(parser.parse_args())
