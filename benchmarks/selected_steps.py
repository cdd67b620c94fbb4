"""What it costs to measure every text anew before each step of SGA.

    python benchmarks/selected_steps.py --output runs/memorised --texts FILE --unseen FILE

Needs the folder of a trained model. Runs SGA to its end on texts that it has memorised, with unseen ones as holdout,
and then as many steps of plain ascent on all of them, which measure nothing. Times are of one process, without starting
up.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any


def fit(model: str, texts: str, unseen: str, steps: int, rate: float, method: Any) -> tuple[float, int]:
    """Seconds and steps of a fit without readings."""
    import lightning.pytorch as L

    from lightning_untrac import CorpusDataModule, DatasetConfig, Unlearning
    from lightning_untrac.data import EpisodePlan
    from lightning_untrac.forgetting.selected_steps import SequenceAscent
    from lightning_untrac.modules.learning_rate import continuation_adam

    module = Unlearning(model, optimizer=partial(continuation_adam, lr=rate), unlearning_objective=SequenceAscent())
    if method is not None:
        method.prepare(module)
    data = CorpusDataModule(
        forget=[DatasetConfig(path=texts, name="memorised")],
        holdout=[DatasetConfig(path=unseen, name="unseen")],
        max_length=128,
        plan=EpisodePlan("one", only=("memorised",), steps=steps, batch_size=256),
    )
    trainer = L.Trainer(
        max_epochs=1, reload_dataloaders_every_n_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
        callbacks=[] if method is None else method.callbacks(),
    )  # fmt: skip
    start = time.perf_counter()
    trainer.fit(module, data)
    return time.perf_counter() - start, trainer.global_step


def main() -> None:
    """Print the share of measuring, and both runs' seconds a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder with model/")
    parser.add_argument("--texts", required=True)
    parser.add_argument("--unseen", required=True)
    parser.add_argument("--rate", type=float, default=5e-5)
    arguments = parser.parse_args()
    from lightning_untrac.forgetting import memorised
    from lightning_untrac.forgetting.sga import SGA

    measure, spent, calls = memorised.measured_accuracies, [0.0], [0]

    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        found = measure(*args)
        spent[0] += time.perf_counter() - start
        calls[0] += 1
        return found

    memorised.measured_accuracies = timed
    model = str(arguments.output / "model")
    both = (arguments.texts, arguments.unseen)
    fit(model, *both, 2, arguments.rate, None)  # to warm up
    seconds, steps = fit(model, *both, 150, arguments.rate, SGA())
    plain, plain_steps = fit(model, *both, steps, arguments.rate, None)
    print(f"SGA: {seconds / steps:.3f} s a step, of which measuring {spent[0] / seconds:.0%} ({calls[0]} passes)")
    share = seconds / steps * plain_steps / plain
    print(f"plain ascent on all texts: {plain / plain_steps:.3f} s a step; SGA takes {share:.2f} of it")


if __name__ == "__main__":
    main()
