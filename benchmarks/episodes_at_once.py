"""Do several episodes on one device, run together, take less time than one after another?

    python benchmarks/episodes_at_once.py                          every size, batch and K (some minutes)
    python benchmarks/episodes_at_once.py --sizes 0.1M --batches 1 --episodes 2 4
    python benchmarks/episodes_at_once.py --device cuda --dtype bfloat16 --sizes 125M --batches 1 8

Gradient ascent with Adam on K copies of one Llama, bare PyTorch and transformers, on the same batches:

- *one by one*: an ordinary loop an episode.
- *stacked*: the K copies as one, by ``stack_module_state``, ``functional_call`` and ``vmap`` over ``grad``; Adam is
  elementwise, so one over the stacked tensors is K of them.
- *processes*: two ordinary loops side by side in processes of one thread each, as two shards of a trace on one device
  are; to be compared with one process of one thread and of two.

Printed per row: milliseconds per step of one episode (median over rounds in which the ways alternate, and the range),
the ratio of one by one to each way, peak memory on CUDA, and how far the weights end from those of one by one. On a
shared machine ``--clock cpu`` counts each process' own time; two processes that cost no more than one then take half
the time on two free cores.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = time.perf_counter
VOCABULARY = 384
SHAPES = {"0.1M": (48, 2), "2.5M": (192, 4), "10M": (384, 4), "125M": (768, 12)}
"""Width and layers of each size."""


def make_model(size: str, length: int, attention: str, device: str, dtype: torch.dtype) -> torch.nn.Module:
    """A Llama of random weights, always the same."""
    from transformers import AutoConfig, AutoModelForCausalLM

    hidden, layers = SHAPES[size]
    heads = max(1, hidden // 48)
    config = AutoConfig.for_model(
        "llama", vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=length,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype).to(device).eval()


def make_batches(episodes: int, steps: int, batch: int, length: int, device: str) -> torch.Tensor:
    """``[episodes, steps, batch, length]`` token ids."""
    return torch.randint(VOCABULARY, (episodes, steps, batch, length), generator=torch.manual_seed(1)).to(device)


def ascent_loss(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """What a step minimises."""
    return -F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())


def adam(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    """The optimizer of every way."""
    return torch.optim.Adam(parameters, lr=5e-5)


def one_by_one(model: torch.nn.Module, batches: torch.Tensor) -> tuple[float, list[dict[str, torch.Tensor]]]:
    """Seconds of the steps, and the weights of each episode."""
    taken, ends = 0.0, []
    for episode in batches:
        mine = copy.deepcopy(model)
        optimizer = adam(list(mine.parameters()))
        start = now(batches.device)
        for ids in episode:
            optimizer.zero_grad()
            ascent_loss(mine(input_ids=ids, use_cache=False).logits, ids).backward()
            optimizer.step()
        taken += now(batches.device) - start
        ends.append({name: tensor.detach() for name, tensor in mine.named_parameters()})
    return taken, ends


def stacked(model: torch.nn.Module, batches: torch.Tensor) -> tuple[float, list[dict[str, torch.Tensor]]]:
    """The same, all episodes in every step."""
    from torch.func import functional_call, grad, stack_module_state, vmap

    count = len(batches)
    weights, buffers = stack_module_state([copy.deepcopy(model) for _ in range(count)])

    def loss(mine: dict[str, torch.Tensor], fixed: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
        output = functional_call(model, (mine, fixed), kwargs={"input_ids": ids, "use_cache": False})
        return ascent_loss(output.logits, ids)

    gradients = vmap(grad(loss))
    optimizer = adam(list(weights.values()))
    start = now(batches.device)
    for step in range(batches.shape[1]):
        found = gradients({name: w.detach() for name, w in weights.items()}, buffers, batches[:, step])
        for name, tensor in weights.items():
            tensor.grad = found[name]
        optimizer.step()
    taken = now(batches.device) - start
    return taken, [{name: w[k].detach() for name, w in weights.items()} for k in range(count)]


def now(device: torch.device) -> float:
    """Seconds, when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock()


def together(command: list[str], processes: int, threads: int, share: bool) -> float:
    """Seconds per step of one episode, where so many processes run side by side, from when all of them are warm.

    Args:
        command: of one of them.
        processes: how many.
        threads: of each.
        share: whether the seconds passed for all of them (and not each one's own) are measured.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    seconds = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    return max(seconds) / (processes if share else 1)


def worker(given: argparse.Namespace) -> None:
    """One of the processes: an episode after another, when told to begin."""
    size, batch, steps = given.sizes[0], given.batches[0], given.steps
    model = make_model(size, given.length, "sdpa", given.device, getattr(torch, given.dtype))
    one_by_one(model, make_batches(1, 2, batch, given.length, given.device))
    print("ready", flush=True)
    sys.stdin.readline()
    taken, _ = one_by_one(model, make_batches(2, steps, batch, given.length, given.device))
    print(json.dumps(taken / (2 * steps)))


def distance(
    found: list[dict[str, torch.Tensor]], expected: list[dict[str, torch.Tensor]], start: torch.nn.Module
) -> str:
    """How far the weights end from the expected ones, also beside how far they moved."""
    begin = {name: tensor.detach() for name, tensor in start.named_parameters()}
    apart = moved = 0.0
    equal = True
    for mine, theirs in zip(found, expected, strict=True):
        for name, tensor in theirs.items():
            equal &= torch.equal(mine[name], tensor)
            apart = max(apart, float((mine[name] - tensor).abs().max()))
            moved = max(moved, float((tensor - begin[name]).abs().max()))
    return "equal to the last bit" if equal else f"max {apart:.1e} apart, of {moved:.1e} moved"


def measure(given: argparse.Namespace, size: str, batch: int, count: int) -> None:
    """Print one row."""
    dtype = getattr(torch, given.dtype)
    batches = make_batches(count, given.steps, batch, given.length, given.device)
    ways: dict[str, tuple[Callable[..., tuple[float, list[dict[str, torch.Tensor]]]], torch.nn.Module]] = {
        "one by one": (one_by_one, make_model(size, given.length, "sdpa", given.device, dtype)),
        "one by one, eager": (one_by_one, make_model(size, given.length, "eager", given.device, dtype)),
        "stacked, eager": (stacked, make_model(size, given.length, "eager", given.device, dtype)),
        "stacked": (stacked, make_model(size, given.length, "sdpa", given.device, dtype)),
    }
    for run, model in list(ways.values()):
        run(model, batches[:, :1])
    times: dict[str, list[float]] = {way: [] for way in ways}
    ends, peaks = {}, {}
    for _ in range(given.rounds):
        for way, (run, model) in ways.items():
            if given.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            taken, ends[way] = run(model, batches)
            times[way].append(1e3 * taken / (count * given.steps))
            peaks[way] = torch.cuda.max_memory_allocated() / 2**20 if given.device == "cuda" else 0.0
    for way, found in times.items():
        ratios = [base / mine for base, mine in zip(times["one by one"], found, strict=True)]
        memory = f"; peak {peaks[way]:.0f} MiB" if given.device == "cuda" else ""
        print(
            f"{size:>5} batch {batch} K={count} {way:<18} {statistics.median(found):8.1f} ms "
            f"({min(found):.1f} to {max(found):.1f}), {statistics.median(ratios):.2f}x; "
            f"{distance(ends[way], ends['one by one'], ways[way][1])}{memory}",
            flush=True,
        )


def measure_processes(given: argparse.Namespace, size: str, batch: int) -> None:
    """Print the rows of two processes and of one."""
    command = [sys.executable, __file__, "--worker", "--sizes", size, "--batches", str(batch), "--device", given.device,
               "--dtype", given.dtype, "--length", str(given.length),
               "--steps", str(2 * given.steps), "--clock", given.clock]  # fmt: skip
    kinds = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(given.rounds):
        for kind, (processes, threads) in kinds.items():
            seconds = together(command, processes, threads, given.clock == "wall")
            times[kind].append(1e3 * seconds)
    for kind, found in times.items():
        # The fastest of each: side by side, what else the machine does disturbs the ways unlike.
        ratio = min(times["1 process, 1 thread"]) / min(found)
        print(
            f"{size:>5} batch {batch} {kind:<27} {min(found):8.1f} ms (median "
            f"{statistics.median(found):.1f}), {ratio:.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["0.1M", "2.5M", "10M"], choices=list(SHAPES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--episodes", nargs="*", type=int, default=[2, 4, 8])
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--no-processes", action="store_true")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    if options.worker:
        worker(options)
    else:
        for chosen in options.sizes:
            for batch_size in options.batches:
                for k in options.episodes:
                    measure(options, chosen, batch_size, k)
                if not options.no_processes:
                    measure_processes(options, chosen, batch_size)
