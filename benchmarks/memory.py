"""How much memory a trace takes: beside plain training, and as the corpora grow.

    python benchmarks/memory.py                                   copies of the weights above plain training
    python benchmarks/memory.py --examples 100000 1000000         UnTrac-Inv over corpora of so many short examples
    python benchmarks/memory.py --examples 100000 1000000 --record   the same with --examples (a row an example)

The first compares the peaks of two processes. The second writes jsonl corpora of 10 to 20 bytes an example, prepares
them (with nothing in any cache) and traces them with a model of some thousand parameters, each in a process of its own,
and prints the peak of the *anonymous* memory above what the process had before: token ids are mapped from disk, and
pages of a mapped file are the system's to take back. The slope between two sizes is what an example costs; aim: some
tens of bytes at most, which is a few numbers an example and never a Python object. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from overhead import make_model, plain_data, untrac_trace

# -- copies of the weights ---------------------------------------------------------------------------------------------


def peak_of_weights(mode: str, hidden: int, layers: int, batch_size: int) -> None:
    """Run one mode in this process and print its peak memory in MiB."""
    # Both processes import the same, so that only tensors differ.
    import datasets  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import lightning_untrac.verbs.trace  # noqa: F401

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_model(folder / "model", hidden, layers)
        if mode == "plain":
            corpora, _ = plain_data(model, 8)
            train_only(model, corpora, batch_size)
        else:
            untrac_trace(model, folder, 4, 1, batch_size, 8)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"peak_mib": peak, "weights_mib": 4 * num_parameters(hidden, layers) / 2**20}))


def train_only(model_folder: str, corpora: dict, batch_size: int) -> None:
    """Plain training: no second copy of the weights."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5)
    for step in range(4):
        ids = next(iter(corpora.values()))[step * batch_size : (step + 1) * batch_size]
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def num_parameters(hidden: int, layers: int) -> int:
    """Parameters of ``overhead.make_model``."""
    return 2 * 384 * hidden + layers * (4 * hidden**2 + 3 * 4 * hidden**2 + 2 * hidden) + hidden


def copies_of_the_weights(hidden: int, layers: int, batch_size: int) -> None:
    """Print both peaks and their difference in copies of the weights."""
    sizes = ["--hidden", str(hidden), "--layers", str(layers), "--batch-size", str(batch_size)]
    found = {mode: in_a_process("--peak", mode, *sizes) for mode in ("plain", "untrac")}
    extra = found["untrac"]["peak_mib"] - found["plain"]["peak_mib"]
    weights = found["plain"]["weights_mib"]
    print(
        f"weights {weights:.0f} MiB; peak of plain training {found['plain']['peak_mib']:.0f} MiB, "
        f"of untrac trace {found['untrac']['peak_mib']:.0f} MiB: {extra / weights:+.2f} copies of the weights"
    )


# -- bytes an example --------------------------------------------------------------------------------------------------


def anonymous_mib() -> float:
    """Anonymous memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no RssAnon; this part needs Linux 4.5 or later")


@contextlib.contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Fill in the peak of the block above its beginning, and its seconds."""
    gone = threading.Event()
    before = anonymous_mib()
    found = {"peak_mib": 0.0}

    def watch() -> None:
        while not gone.wait(0.005):
            found["peak_mib"] = max(found["peak_mib"], anonymous_mib() - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    start = time.perf_counter()
    try:
        yield found
    finally:
        found["seconds"] = time.perf_counter() - start
        gone.set()
        thread.join()


def write_corpus(path: Path, size: int) -> None:
    """Write unlike examples of 10 to 20 bytes."""
    letters = random.Random(size)
    with path.open("w") as file:
        for index in range(size):
            word = "".join(letters.choices("abcdefgh ", k=letters.randint(4, 12)))
            file.write(json.dumps({"text": f"{index:06x} {word}"}) + "\n")


def prepare_or_trace(phase: str, folder: Path, size: int, record: bool) -> None:
    """Run one phase in this process and print its peak and its seconds."""
    import datasets  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import lightning_untrac.verbs.trace  # noqa: F401
    from lightning_untrac import Unlearning
    from lightning_untrac.cli import main
    from lightning_untrac.data import CorpusDataModule, DatasetConfig

    corpus, test_set = folder / f"corpus-{size}.jsonl", folder / "test.jsonl"
    shape = {"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
             "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 64}  # fmt: skip
    if phase == "prepare":
        module = Unlearning(config=shape, tokenizer="byte")
        module.configure_model()
        data = CorpusDataModule(
            [DatasetConfig(name="a", path=str(corpus))], [DatasetConfig(name="t", path=str(test_set))]
        )
        with watched() as found, contextlib.redirect_stderr(io.StringIO()):
            data.prepare(module)
    else:
        config = {
            "model": {"config": shape, "tokenizer": "byte"},
            "data": {"eval_batch_size": 1024, "corpora": [{"name": "a", "path": str(corpus)}],
                     "test_sets": [{"name": "t", "path": str(test_set)}]},
            "trainer": {"accelerator": "cpu"},
        }  # fmt: skip
        (folder / "trace.yaml").write_text(json.dumps(config))
        arguments = ["trace", "--config", str(folder / "trace.yaml"), "--output", str(folder / f"output-{size}")]
        arguments += ["--method=untrac_inv", "--steps=1", "--readings=1", f"--examples={str(record).lower()}"]
        with watched() as found, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if main(arguments) != 0:
                raise RuntimeError("untrac trace failed")
    print(json.dumps(found))


def bytes_an_example(sizes: list[int], record: bool) -> None:
    """Print the peaks at each size, and the slope between the first and the last."""
    found: dict[str, list[float]] = {"prepare": [], "trace": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder / "test.jsonl", 20)
        for size in sizes:
            write_corpus(folder / f"corpus-{size}.jsonl", size)
            for phase, peaks in found.items():
                arguments = ["--phase", phase, "--folder", name, "--examples", str(size), *["--record"] * record]
                told = in_a_process(*arguments, HF_DATASETS_CACHE=str(folder / "cache"))
                peaks.append(told["peak_mib"])
                print(f"{size} examples, {phase}: {told['peak_mib']:.0f} MiB more, {told['seconds']:.0f} s", flush=True)
    if len(sizes) > 1:
        for phase, peaks in found.items():
            slope = (peaks[-1] - peaks[0]) * 2**20 / (sizes[-1] - sizes[0])
            print(f"{phase}: {slope:.0f} bytes an example")


def in_a_process(*arguments: str, file: str = __file__, **environment: str) -> dict[str, float]:
    """Run a file, this one by default, with other arguments and read the last line that it prints."""
    # glibc keeps freed memory below a moving threshold to itself; with a fixed one the peak is of what is live.
    environment = {"MALLOC_MMAP_THRESHOLD_": "1000000", **os.environ, **environment}
    done = subprocess.run([sys.executable, file, *arguments], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--examples", type=int, nargs="+", help="sizes of the corpora")
    parser.add_argument("--record", action="store_true", help="also record every example")
    parser.add_argument("--peak", choices=("plain", "untrac"), help=argparse.SUPPRESS)
    parser.add_argument("--phase", choices=("prepare", "trace"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if given.phase:
        prepare_or_trace(given.phase, given.folder, given.examples[0], given.record)
    elif given.peak:
        peak_of_weights(given.peak, given.hidden, given.layers, given.batch_size)
    elif given.examples:
        bytes_an_example(given.examples, given.record)
    else:
        copies_of_the_weights(given.hidden, given.layers, given.batch_size)
