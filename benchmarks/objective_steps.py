"""What a step of each objective costs beside the bare passes of its formula, and what memory NPO takes beside ascent.

    python benchmarks/objective_steps.py [--steps 40] [--objectives ga,npo_kl]
    python benchmarks/objective_steps.py --memory --hidden 1024

After each step of ``untrac unlearn`` a bare PyTorch step runs on the same number of tokens: the forward and backward
passes that the formula needs (mean cross-entropy in place of the objective, ``F.cross_entropy`` on logits), forward
passes without a graph for a reference, and fused Adam. Both are measured in CPU seconds of one thread, step by step,
so that other work on the machine slows both alike. Printed is the ratio of the medians. Aim: 1.05 or less.

``--memory`` compares the peaks of two processes that differ in the objective alone. Aim: within 2 %.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import lightning.pytorch as L
from memory import in_a_process, num_parameters
from overhead import CORPORA, LENGTH, TEST_SETS, make_model, plain_data

WARM_UP = 5
OBJECTIVES = {
    "ga": ("ga", 1, 0), "ga_loss": ("ga --retain loss", 2, 0), "ga_kl": ("ga --retain kl", 2, 1),
    "clamped": ("clamped", 1, 0), "npo": ("npo", 1, 0), "npo_loss": ("npo --retain loss", 2, 0),
    "npo_kl": ("npo --retain kl", 2, 1), "simnpo": ("simnpo", 1, 0), "wga": ("wga", 1, 0), "satimp": ("satimp", 1, 0),
    "ceu": ("ceu", 1, 0), "me": ("me", 1, 0), "uniform": ("uniform", 1, 0), "undial": ("undial", 1, 1),
    "tnpo": ("tnpo", 1, 1), "wtnpo": ("wtnpo", 1, 1), "jensun_jsd": ("jensun --retain jsd", 2, 1),
    "pdu_bound": ("pdu --retain bound", 2, 0),
    "gru": ("ga --retain loss --model.unlearning_objective.rectify GRU", 2, 0),
    "sam": ("ga --model.unlearning_objective.rectify SAM", 2, 0),
}  # fmt: skip
"""Options, passes forwards and backwards, and passes forwards alone."""


class BareStepBeside(L.Callback):
    """Runs a bare step after each step, and measures both in CPU seconds."""

    found: dict[str, list[float]] = {}
    model_folder: str
    batch_size: int
    passes: tuple[int, int]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make the bare model, its optimizer and its data."""
        import torch
        from transformers import AutoModelForCausalLM

        self.found.clear()
        self.found.update(untrac=[], bare=[])
        self.model = AutoModelForCausalLM.from_pretrained(self.model_folder).eval()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=5e-5, fused=True)
        self.blocks = plain_data(self.model_folder, 8)[0]["news"]
        self.seen = time.process_time()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Note the time since the last bare step, and run the next one."""
        start = time.process_time()
        self.found["untrac"].append(start - self.seen)
        self.bare_step(trainer.global_step)
        self.seen = time.process_time()
        self.found["bare"].append(self.seen - start)

    def bare_step(self, step: int) -> None:
        """The passes alone."""
        import torch
        import torch.nn.functional as F

        both, forwards = self.passes
        order = torch.arange(self.batch_size) + step * self.batch_size
        ids = self.blocks[order % len(self.blocks)]
        with torch.no_grad():
            for _ in range(forwards):
                self.model(input_ids=ids, use_cache=False)
        for _ in range(both):
            logits = self.model(input_ids=ids, use_cache=False).logits
            F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def unlearn(model: str, folder: Path, options: str, steps: int, batch_size: int, beside: bool) -> None:
    """Unlearn through the command line's entry point."""
    from lightning_untrac.cli import main

    config = {
        "model": {"name_or_path": model},
        "data": {
            "block_size": LENGTH, "max_length": LENGTH, "batch_size": batch_size, "eval_batch_size": batch_size,
            "corpus_eval_examples": batch_size,  # readings cost little beside the steps
            "corpora": [{"name": name, "path": f"builtin:world/{name}"} for name in CORPORA],
            "test_sets": [{"name": TEST_SETS[0], "path": f"builtin:world/{TEST_SETS[0]}"}],
        },
        "trainer": {"accelerator": "cpu", "callbacks": [{"class_path": "objective_steps.BareStepBeside"}] * beside},
    }  # fmt: skip
    output = tempfile.mkdtemp(dir=folder)
    (folder / "unlearn.yaml").write_text(json.dumps(config))
    arguments = ["unlearn", "--config", str(folder / "unlearn.yaml"), "--output", output, "--forget", CORPORA[0]]
    arguments += ["--steps", str(steps), "--readings", "1", "--predict", "false", "--collapse_cap", ".inf"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([*arguments, *(f"--objective {options}".split())])
    if code:
        raise RuntimeError(f"untrac unlearn ended with exit code {code}\n{said.getvalue()}")


def times(names: list[str], steps: int, hidden: int, layers: int, batch_size: int) -> None:
    """Print the ratio of each objective."""
    import torch
    from objective_steps import BareStepBeside as Beside  # the class that the command line finds

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.redirect_stderr(io.StringIO()):
            model = make_model(folder / "model", hidden, layers)
        Beside.model_folder, Beside.batch_size = model, batch_size
        for label in names:
            options, *passes = OBJECTIVES[label]
            Beside.passes = tuple(passes)
            unlearn(model, folder, options, steps + WARM_UP, batch_size, beside=True)
            mine, bare = (statistics.median(Beside.found[which][WARM_UP:]) for which in ("untrac", "bare"))
            print(
                f"{label:12} {passes[0]} passes both ways, {passes[1]} forwards: {1e3 * mine:.1f} ms, bare "
                f"{1e3 * bare:.1f} ms, ratio {mine / bare:.3f}",
                flush=True,
            )


def peak(options: str, hidden: int, layers: int, batch_size: int) -> None:
    """Unlearn in this process and print its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as name:
        unlearn(make_model(Path(name) / "model", hidden, layers), Path(name), options, 4, batch_size, beside=False)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"peak_mib": mib, "weights_mib": 4 * num_parameters(hidden, layers) / 2**20}))


def memory(hidden: int, layers: int, batch_size: int) -> None:
    """Print the peaks of ascent and of NPO."""
    sizes = ["--hidden", str(hidden), "--layers", str(layers), "--batch-size", str(batch_size)]
    found = {name: in_a_process("--peak", name, *sizes, file=__file__) for name in ("ga", "npo")}
    ascent, npo = (found[name]["peak_mib"] for name in ("ga", "npo"))
    print(f"weights {found['ga']['weights_mib']:.0f} MiB; peak of ascent {ascent:.0f} MiB, of NPO {npo:.0f} MiB: "
          f"ratio {npo / ascent:.3f}")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if given.peak:
        peak(given.peak, given.hidden, given.layers, given.batch_size)
    elif given.memory:
        memory(given.hidden, given.layers, given.batch_size)
    else:
        times(given.objectives.split(","), given.steps, given.hidden, given.layers, given.batch_size)
