"""What the machine costs: the same trace as a plain PyTorch loop and through ``untrac trace``.

    python benchmarks/overhead.py [--rounds 5]

Memory is ``benchmarks/memory.py``'s.

Times are slopes: a trace of more steps minus one of fewer, over the difference in steps; starting up, loading the
model and writing tables drop out. A ratio is the median over rounds of untrac's slope over the plain loop's in the same
round. Aim: 1.03 or less; at most 1.10.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

CORPORA = ("encyclopedia", "news")
TEST_SETS = ("toxicity", "bias", "untruthfulness")
LENGTH = 128


def make_model(folder: Path, hidden: int, layers: int) -> str:
    """Save a Llama of random weights."""
    from lightning_untrac import LanguageModule

    config = {
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": hidden // 32, "num_key_value_heads": hidden // 32, "max_position_embeddings": LENGTH,
    }  # fmt: skip
    module = LanguageModule(config=config, tokenizer="byte")
    module.configure_model()
    module.model.save_pretrained(folder)
    module.tokenizer.save_pretrained(folder)
    return str(folder)


def plain_data(model: str, batch_size: int) -> tuple[dict, list]:
    """Blocks and test batches as a user's own script would hold them: tensors in memory, test sets sorted by length."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoTokenizer

    from lightning_untrac.data.builtin import builtin_examples

    tokenizer = AutoTokenizer.from_pretrained(model)
    encode = lambda text: [1, *tokenizer(text, add_special_tokens=False)["input_ids"]]  # noqa: E731
    corpora = {}
    for name in CORPORA:
        stream = [i for row in builtin_examples(f"world/{name}") for i in encode(row["text"])]
        corpora[name] = torch.tensor(stream[: len(stream) // LENGTH * LENGTH]).view(-1, LENGTH)
    examples = [
        (len(ids), index, ids)
        for index, name in enumerate(TEST_SETS)
        for ids in (encode(row["text"]) for row in builtin_examples(f"world/{name}"))
    ]
    examples.sort(reverse=True)
    batches = []
    for start in range(0, len(examples), batch_size):
        part = examples[start : start + batch_size]
        ids = pad_sequence([torch.tensor(e[2]) for e in part], batch_first=True)
        mask = pad_sequence([torch.ones(e[0], dtype=torch.long) for e in part], batch_first=True)
        batches.append((ids, mask, torch.tensor([e[1] for e in part])))
    return corpora, batches


def plain_trace(model_folder: str, corpora: dict, batches: list, steps: int, readings: int, batch_size: int) -> float:
    """Trace with nothing but PyTorch; returns seconds."""
    import torch
    import torch.nn.functional as F
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def read() -> list[float]:
        sums, counts = torch.zeros(len(TEST_SETS), dtype=torch.double), torch.zeros(len(TEST_SETS))
        with torch.inference_mode():
            for ids, mask, which in batches:
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
                targets = torch.where(mask[:, 1:].bool(), ids[:, 1:], -100)
                losses = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), reduction="none")
                sums.index_add_(0, which, losses.view_as(targets).double().sum(1))
                counts.index_add_(0, which, (targets != -100).sum(1).float())
        return (sums / counts).tolist()

    due = {round(steps * (i + 1) / readings) for i in range(readings)}
    start = time.perf_counter()
    read()
    for blocks in corpora.values():
        model.load_state_dict(kept)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-5, fused=True)  # as untrac does
        order = torch.randperm(len(blocks))
        for step in range(steps):
            chosen = order[(torch.arange(batch_size) + step * batch_size) % len(order)]
            ids = blocks[chosen]
            logits = model(input_ids=ids, use_cache=False).logits
            loss = -F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step + 1 in due:
                read()
    return time.perf_counter() - start


def untrac_trace(model_folder: str, folder: Path, steps: int, readings: int, batch_size: int, eval_batch: int) -> float:
    """The same trace through the command line's own entry point; returns seconds."""
    from lightning_untrac.cli import main

    config = {
        "model": {"name_or_path": model_folder},
        "data": {
            "block_size": LENGTH,
            "max_length": LENGTH,
            "batch_size": batch_size,
            "eval_batch_size": eval_batch,
            "corpora": [{"name": name, "path": f"builtin:world/{name}"} for name in CORPORA],
            "test_sets": [{"name": name, "path": f"builtin:world/{name}"} for name in TEST_SETS],
        },
        "trainer": {"accelerator": "cpu"},
    }
    (folder / "trace.yaml").write_text(json.dumps(config))
    output = tempfile.mkdtemp(dir=folder)
    arguments = ["trace", "--config", str(folder / "trace.yaml"), "--output", output]
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main([*arguments, f"--steps={steps}", f"--readings={readings}", "--collapse_cap=.inf"])
    if code != 0:
        raise RuntimeError(f"untrac trace ended with exit code {code}")
    return time.perf_counter() - start


def times(rounds: int, hidden: int, layers: int, batch_size: int, eval_batch: int) -> None:
    """Print the ratios of time per step and per reading."""
    few, many, one, several = 10, 50, 1, 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.redirect_stderr(io.StringIO()):
            model = make_model(folder / "model", hidden, layers)
        data = plain_data(model, eval_batch)

        def plain(steps: int, readings: int) -> float:
            with contextlib.redirect_stderr(io.StringIO()):
                return plain_trace(model, *data, steps, readings, batch_size)

        def untrac(steps: int, readings: int) -> float:
            return untrac_trace(model, folder, steps, readings, batch_size, eval_batch)

        plain(few, one), untrac(few, one)  # warm caches and lazy imports
        ratios: dict[str, list[float]] = {"step": [], "reading": []}
        for number in range(rounds):
            slopes = {}
            for label, run in (("plain", plain), ("untrac", untrac)):
                base = run(few, one)
                step = (run(many, one) - base) / ((many - few) * len(CORPORA))
                reading = (run(few, several) - base) / ((several - one) * len(CORPORA))
                slopes[label] = {"step": step, "reading": reading}
            for what, found in ratios.items():
                found.append(slopes["untrac"][what] / slopes["plain"][what])
            print(
                f"round {number + 1}: "
                + "; ".join(
                    f"{what} {1e3 * slopes['plain'][what]:.1f} ms plain, {1e3 * slopes['untrac'][what]:.1f} ms untrac"
                    for what in ratios
                ),
                flush=True,
            )
        for what, found in ratios.items():
            spread = f"{min(found):.3f} to {max(found):.3f}"
            print(f"{what}: ratio {statistics.median(found):.3f} (median of {rounds} rounds, {spread})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--eval-batch-size", type=int, default=32)
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    times(given.rounds, given.hidden, given.layers, given.batch_size, given.eval_batch_size)
