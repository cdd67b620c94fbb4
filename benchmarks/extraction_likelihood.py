"""Generations and time of the extraction likelihood, from misses alone and from every beginning of a text.

usage: python benchmarks/extraction_likelihood.py [--texts 8] [--tokens 200] [--batch 32]

The texts are written by a small model that was never trained: a share of the tokens are its own first choices, drawn
where they stand. Both ways generate in the same batches; ``one by one`` is a batch of one beginning, of one text alone.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch

from lightning_untrac import LanguageModule
from lightning_untrac.data.collator import Collator
from lightning_untrac.functional.extraction_likelihood import extraction_likelihood
from lightning_untrac.metrics import find_measures
from lightning_untrac.modules.after_misses import Miss, own_continuations, whole_texts

MODEL = {"model_type": "llama", "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 512}  # fmt: skip


def half_known(model: Any, size: int, share: float, seed: int) -> list[int]:
    """A text of which the model knows a share."""
    draw, ids, cache = np.random.default_rng(seed), [65], None
    for hit in draw.permutation(np.arange(size) < round(share * size)):
        with torch.no_grad():
            made = model(input_ids=torch.tensor([ids[-1:]]), past_key_values=cache, use_cache=True)
        cache, choice, other = made.past_key_values, int(made.logits[0, -1].argmax()), int(draw.integers(60, 120))
        ids.append(choice if hit else other + (other == choice))
    return ids


class Texts(L.LightningDataModule):
    """One batch of texts, and how many beginnings are generated from at once."""

    def __init__(self, batch: Any, eval_batch_size: int) -> None:
        super().__init__()
        self.batch, self.eval_batch_size = batch, eval_batch_size

    def predict_dataloader(self) -> Any:
        """The batch."""
        return torch.utils.data.DataLoader([self.batch], batch_size=None)  # type: ignore[arg-type]


class Timed(L.LightningModule):
    """Reads texts both ways, in a Trainer."""

    def __init__(self, module: LanguageModule, texts: list[list[int]]) -> None:
        super().__init__()
        self.module, self.texts = module, texts

    def predict_step(self, batch: Any, batch_idx: int) -> float:
        """Print one row."""
        (measure,), (accuracy,) = find_measures("extraction_likelihood"), find_measures("memorisation_accuracy")
        begin = time.process_time()
        seen = self.module.outputs_of(batch)
        seen.continued = own_continuations(self.module, batch, seen)
        value, _ = measure(seen)
        few = time.process_time() - begin
        misses = sum(map(len, seen.continued))
        every = [Miss(0, 0, ids[:t], len(ids), []) for ids in self.texts for t in range(1, len(ids))]
        begin = time.process_time()
        written = iter(whole_texts(self.module, every))
        plain = [
            extraction_likelihood(ids[1:], [next(written)[t:] for t in range(1, len(ids))], measure.n)  # type: ignore[attr-defined]
            for ids in self.texts
        ]
        many = time.process_time() - begin
        apart = max(abs(total / count - one) for (total, count), one in zip(plain, value.tolist(), strict=True))
        self.trainer.datamodule.eval_batch_size = 1  # type: ignore[attr-defined]
        begin = time.process_time()
        whole_texts(self.module, every[: len(self.texts[0]) - 1])
        alone = (time.process_time() - begin) * len(self.texts)
        share = accuracy(seen).value.mean().item()
        print(f"{share:.2f} {misses:6d} {len(every):6d} {few:8.1f} s {many:8.1f} s {alone:8.1f} s   {apart:.1e}")
        return few


def main() -> None:
    """Print a row a share that is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("  MA misses places   misses     all    one by one (estimated)   largest difference of EL_10")
    for share in (0.0, 0.7, 0.95):
        module = LanguageModule(config=MODEL, tokenizer="byte", init_seed=3)
        module.configure_model()
        module.model.eval()  # type: ignore[union-attr]
        texts = [half_known(module.model, asked.tokens - 1, share, seed) for seed in range(asked.texts)]
        rows = [{"input_ids": np.array(ids), "labels": np.array(ids), "dataset_index": 0, "example_index": row}
                for row, ids in enumerate(texts)]  # fmt: skip
        options: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = L.Trainer(accelerator="cpu", enable_model_summary=False, **options)
        trainer.predict(Timed(module, texts), datamodule=Texts(Collator(0)(rows), asked.batch))


if __name__ == "__main__":
    main()
