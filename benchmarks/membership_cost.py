"""What membership scores cost beside the forward pass that they read, on one core.

usage: python benchmarks/membership_cost.py

Processor seconds, the least of several tries, as shares of the forward pass over 4 sequences of 96 tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lightning_untrac.metrics import Outputs, find_measures
from lightning_untrac.modules.example_gradients import gradient_norms

SIZES = ((64, 2, 384), (256, 4, 8_000), (576, 8, 49_152))
NAMES = ("loss", "memorisation_accuracy", "zlib", "min_k", "min_k_plus_plus", "loss,zlib,min_k,min_k_plus_plus")


def seconds(run: Callable[[], Any], tries: int = 7) -> float:
    """Least processor seconds of a call."""
    found = []
    for _ in range(tries):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def gradient_pass(model: Any, ids: torch.Tensor) -> Callable[[], Any]:
    """What ``gradient_norm`` adds to a forward pass over some texts."""

    def outputs_of(batch: Any) -> Outputs:
        targets = torch.nn.functional.pad(batch["input_ids"][:, 1:], (0, 1), value=-100)
        return Outputs(model(input_ids=batch["input_ids"], use_cache=False).logits, targets, batch)

    module = SimpleNamespace(
        model=model, measures=(), outputs_of=outputs_of, trainable_parameters=lambda: dict(model.named_parameters())
    )
    batch: Any = {"input_ids": ids}
    seen = outputs_of(batch)
    return lambda: gradient_norms(module, batch, seen)


@torch.no_grad()
def main() -> None:
    """Print the shares, a model each."""
    torch.set_num_threads(1)
    for width, layers, vocabulary in SIZES:
        config = LlamaConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=4,
            vocab_size=vocabulary,
        )  # fmt: skip
        model = LlamaForCausalLM(config).eval()
        ids = torch.randint(0, vocabulary, (4, 96))
        logits, targets = model(ids).logits, torch.nn.functional.pad(ids[:, 1:], (0, 1), value=-100)
        forward = seconds(lambda: model(ids))  # noqa: B023
        print(f"vocabulary {vocabulary:,}: forward pass {forward:.4f} s")
        for names in NAMES:
            measures = find_measures(names)

            def measure() -> None:
                seen = Outputs(logits, targets, texts=["heron wren " * 30] * 4)  # noqa: B023
                for one in measures:  # noqa: B023
                    one(seen)

            print(f"  {names:<35} {seconds(measure) / forward:.3f}")
        print(f"  {'gradient_norm':<35} {seconds(gradient_pass(model, ids)) / forward:.3f}")


if __name__ == "__main__":
    main()
