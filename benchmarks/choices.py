"""What each way of doing the same thing costs, side by side: the ground on which defaults are chosen.

    python benchmarks/choices.py [--only adam compile padding workers readings logger grad_mode store] [--rounds 5]
    python benchmarks/choices.py --device cuda --shapes 768x12

Every line is one way: the median time, the range, and the ratio to the first line of its group (above 1 is faster),
which is what is the default now or what one would write without thinking. The ways of a group alternate. For Adam also
how far the weights end from those of the first way. ``--clock cpu`` counts this process' own time, which other work on
the machine disturbs less; it leaves out waiting, also for other processes of the benchmark (``workers``).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from overhead import LENGTH, make_model, plain_data

Way = Callable[[], Any]


def compare(group: str, ways: dict[str, Way], rounds: int, notes: Callable[[str], str] = lambda way: "") -> None:
    """Time the ways alternately and print a line each; each runs once before, to warm what is warm later."""
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            start = now()
            run()
            times[way].append(now() - start)
    first = next(iter(times.values()))
    for way, found in times.items():
        ratio = statistics.median(base / mine for base, mine in zip(first, found, strict=True))
        spread = f"{1e3 * min(found):.1f} to {1e3 * max(found):.1f}"
        median = 1e3 * statistics.median(found)
        print(f"{group}: {way:<28} {median:9.1f} ms ({spread}), {ratio:.2f}x{notes(way)}", flush=True)


ADAMS = {"for-loop (CPU's default)": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = time.perf_counter


def now() -> float:
    """Seconds, when the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock()


class Bench:
    """The models and batches that the groups share.

    Args:
        folder: for models and results.
        device: where models run.
        shapes: width and layers of each model.
        rounds: how often each way is timed.
    """

    def __init__(self, folder: Path, device: str, shapes: list[tuple[int, int]], rounds: int) -> None:
        self.folder, self.device, self.shapes, self.rounds = folder, device, shapes, rounds
        self.made: dict[tuple[int, int], str] = {}

    def path(self, shape: tuple[int, int]) -> str:
        """Folder of a model of random weights."""
        if shape not in self.made:
            with quiet():
                self.made[shape] = make_model(self.folder / f"model-{shape[0]}-{shape[1]}", *shape)
        return self.made[shape]

    def model(self, shape: tuple[int, int]) -> Any:
        """That model."""
        from transformers import AutoModelForCausalLM

        with quiet():
            return AutoModelForCausalLM.from_pretrained(self.path(shape)).eval().to(self.device)

    def batches(self, batch_size: int, ordered: bool = True) -> list[dict[str, torch.Tensor]]:
        """The built-in test sets, longest first or shuffled as in a file."""
        with quiet():
            _, found = plain_data(self.path(self.shapes[0]), batch_size if ordered else 1)
        if not ordered:
            order = torch.randperm(len(found), generator=torch.manual_seed(0)).tolist()
            parts = (order[start : start + batch_size] for start in range(0, len(found), batch_size))
            found = [merged([found[i] for i in part]) for part in parts]
        return [{"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)} for ids, mask, _ in found]

    def adam(self) -> None:
        """The three ways in which torch runs Adam."""
        for shape in self.shapes:
            model = self.model(shape)
            start = [parameter.detach().clone() for parameter in model.parameters()]
            drawn = torch.Generator().manual_seed(0)
            gradients = [torch.randn(p.shape, generator=drawn).to(p) for p in start]
            ways: dict[str, Way] = {}
            ends: dict[str, list[torch.Tensor]] = {}
            for way, options in ADAMS.items():
                mine = [parameter.clone() for parameter in start]
                for parameter, gradient in zip(mine, gradients, strict=True):
                    parameter.grad = gradient.clone()
                ways[way], ends[way] = torch.optim.Adam(mine, lr=5e-5, **options).step, mine
            reference = next(iter(ends.values()))

            def apart(way: str, ends: Any = ends, reference: Any = reference) -> str:
                pairs = list(zip(ends[way], reference, strict=True))
                if all(torch.equal(mine, theirs) for mine, theirs in pairs):
                    return "; equal to the last bit"
                return f"; max {max(float((mine - theirs).abs().max()) for mine, theirs in pairs):.1e} apart"

            compare(f"adam step, {millions(model)}", ways, self.rounds, apart)
            ids = torch.randint(3, 384, (1, LENGTH), generator=torch.manual_seed(0)).to(self.device)
            whole: dict[str, Way] = {}
            for way, options in ADAMS.items():
                mine = self.model(shape)
                whole[way] = partial(ascent, mine, ids, torch.optim.Adam(mine.parameters(), lr=5e-5, **options))
            compare(f"whole step, batch 1, {millions(model)}", whole, self.rounds)

    def compile(self) -> None:
        """``torch.compile`` of the model, for ascent and for reading."""
        if shutil.which("g++") is None and shutil.which("clang++") is None and self.device == "cpu":
            print("compile: no C++ compiler is there, so torch.compile can't work on this machine")
            return
        for shape in self.shapes:
            plain, compiled = self.model(shape), self.model(shape)
            compiled.compile()
            ids = torch.randint(3, 384, (8, LENGTH), generator=torch.manual_seed(0)).to(self.device)
            batches = self.batches(32)
            start = now()
            ascent(compiled, ids), read(compiled, batches)
            print(f"compile, {millions(plain)}: {now() - start:.0f} s for the first step and the first reading")
            named = {"as it is": plain, "compiled": compiled}
            one = {way: partial(ascent, model, ids) for way, model in named.items()}
            compare(f"compile, ascent, {millions(plain)}", one, self.rounds)
            two = {way: partial(read, model, batches) for way, model in named.items()}
            compare(f"compile, reading, {millions(plain)}", two, self.rounds)

    def padding(self) -> None:
        """Examples of like length together, or as they come."""
        model = self.model(self.shapes[0])
        ways, notes = {}, {}
        for way, ordered in (("in the order of the file", False), ("like lengths together", True)):
            batches = self.batches(32, ordered)
            ways[way] = partial(read, model, batches)
            share = sum(float((1 - b["attention_mask"]).sum()) for b in batches) / sum(
                b["input_ids"].numel() for b in batches
            )
            notes[way] = f"; {100 * share:.0f} % padding"
        compare(f"padding, {millions(model)}", ways, self.rounds, notes.__getitem__)

    def grad_mode(self) -> None:
        """Ways to read without a graph."""
        for shape in self.shapes:
            model, batches = self.model(shape), self.batches(32)
            modes = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
            ways = {way: partial(read, model, batches, mode) for way, mode in modes.items()}
            compare(f"grad mode, {millions(model)}", ways, self.rounds)

    def workers(self) -> None:
        """Processes that assemble batches."""
        ways = {
            f"num_workers {n}": lambda n=n: self.trace(["--readings=1", "--steps=20", f"--data.num_workers={n}"])
            for n in (0, 1, 2)
        }
        compare("trace of 2 x 20 steps", ways, max(1, self.rounds // 2))

    def readings(self) -> None:
        """How often the test sets are read."""
        ways = {f"readings {n}": lambda n=n: self.trace(["--steps=16", f"--readings={n}"]) for n in (8, 1)}
        compare("trace of 2 x 16 steps", ways, max(1, self.rounds // 2))

    def logger(self) -> None:
        """What a reading's values cost in a logger of Lightning's, which writes while the run waits."""
        from lightning.pytorch.loggers import CSVLogger

        csv = CSVLogger(tempfile.mkdtemp(dir=self.folder))
        values = {f"influence/corpus-{i}/test-{j}": 0.1 for i in range(8) for j in range(8)}
        steps = iter(range(10**9))

        def ten_readings() -> None:
            for _ in range(10):
                csv.log_metrics(values, step=next(steps))
            csv.save()

        compare("10 readings of 64 values", {"without": lambda: None, "CSV": ten_readings}, self.rounds)

    def store(self) -> None:
        """Where the pre-unlearning weights are kept."""
        if self.device == "cpu":
            print("store: on a CPU both places are the same memory; run with --device cuda")
            return
        for shape in self.shapes:
            model = self.model(shape)
            weights = [parameter.detach() for parameter in model.parameters()]
            places = {
                "cpu, pinned": [w.to("cpu").pin_memory() for w in weights],
                "device": [w.clone() for w in weights],
            }

            def restore(kept: list[torch.Tensor], weights: Any = weights) -> None:
                for weight, value in zip(weights, kept, strict=True):
                    weight.copy_(value)

            ways = {way: partial(restore, kept) for way, kept in places.items()}
            compare(f"restore, {millions(model)}", ways, self.rounds)

    def trace(self, arguments: list[str]) -> None:
        """A trace of two built-in corpora through the command line's own entry point."""
        from lightning_untrac.cli import main

        config = {
            "model": {"name_or_path": self.path(self.shapes[0])},
            "data": {
                "block_size": LENGTH, "batch_size": 8,
                "corpora": [{"name": name, "path": f"builtin:world/{name}"} for name in ("encyclopedia", "news")],
                "test_sets": [{"name": name, "path": f"builtin:world/{name}"} for name in ("toxicity", "bias")],
            },
            "trainer": {"accelerator": "gpu" if self.device == "cuda" else "cpu"},
        }  # fmt: skip
        path = self.folder / "trace.yaml"
        path.write_text(json.dumps(config))
        command = ["trace", "--config", str(path), "--output", tempfile.mkdtemp(dir=self.folder), "--collapse_cap=.inf"]
        with quiet():
            if main([*command, *arguments]) != 0:
                raise RuntimeError("untrac trace failed")


GROUPS = ("adam", "compile", "padding", "grad_mode", "workers", "readings", "logger", "store")


def ascent(model: Any, ids: torch.Tensor, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Forward and backward of an ascent step, and the optimizer's own if there is one."""
    import torch.nn.functional as F

    logits = model(input_ids=ids, use_cache=False).logits
    (-F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())).backward()
    if optimizer is not None:
        optimizer.step()
    model.zero_grad(set_to_none=True)


def read(model: Any, batches: list[dict[str, torch.Tensor]], mode: Callable[[], Any] = torch.no_grad) -> None:
    """Forward passes over all batches."""
    with mode():
        for batch in batches:
            model(**batch, use_cache=False)


def merged(parts: list[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Batches of one example as one batch."""
    from torch.nn.utils.rnn import pad_sequence

    ids, mask = (pad_sequence([part[k][0] for part in parts], batch_first=True) for k in (0, 1))
    return ids, mask, torch.cat([part[2] for part in parts])


def millions(model: Any) -> str:
    """Size of a model, in words."""
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}M"


@contextlib.contextmanager
def quiet() -> Any:
    """Print nothing."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=5), parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: this process' own, on a shared machine")
    parser.add_argument("--shapes", nargs="+", default=["192x4", "384x4"], help="width x layers of the models")
    given = parser.parse_args()
    clock = CLOCKS[given.clock]
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")
    shapes = [(int(width), int(layers)) for width, layers in (shape.split("x") for shape in given.shapes)]
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), given.device, shapes, given.rounds)
        for group in given.only:
            getattr(bench, group)()
