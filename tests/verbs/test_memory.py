"""Every stage begins with the memory of the first: nothing of one is alive when the next loads its weights."""

from __future__ import annotations

import gc
import mmap
import re
from pathlib import Path

import pytest
import torch

import lightning_untrac.modules.language as language
from lightning_untrac import memory
from lightning_untrac.memory import forget_peak, peak_mb


def stages(output):
    """Every kind of stage that loads a model, with several seeds, methods and models in one."""
    return [
        {"pretrain": {"steps": 2}},
        {"trace": {"method": "untrac", "steps": 1, "readings": 1, "seeds": [0, 1]}},
        {"trace": {"method": "graddot,fisher"}},
        {"leave-out": None},
        {"unlearn": {"forget": "birds", "steps": 1}},
        {"evaluate": {"reference": str(output / "initial_model")}},
    ]


def alive():
    """Weights and optimizer states that something holds, or that wait for the garbage collector, by their identity."""
    kinds = (torch.Tensor, torch.nn.Parameter)
    return {id(thing): tuple(thing.shape) for thing in gc.get_objects() if type(thing) in kinds and thing.dim() > 0}


@pytest.fixture
def without_automatic_collection():
    """What is freed here is freed on purpose."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_nothing_of_a_stage_is_alive_in_the_next(untrac, recipe, tmp_path, monkeypatch, without_automatic_collection):
    before, load, found, shapes = alive(), language.build_model, [], set()

    def left():
        # What readings have found may stay; weights, their copies and their moments may not.
        return [shape for name, shape in alive().items() if name not in before and shape in shapes]

    def looking(*args, **kwargs):
        found.append(left())
        model = load(*args, **kwargs)
        shapes.update(tuple(weight.shape) for weight in model.parameters())
        return model

    monkeypatch.setattr(memory, "WORTH_BYTES", 0)  # these models have some kilobytes
    monkeypatch.setattr(language, "build_model", looking)
    ran = untrac("run", recipe(stages=stages(tmp_path / "out")), "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    assert len(found) >= 10
    assert found == [[]] * len(found)
    assert left() == []


def touched():
    """Touch 64 MiB of pages and give them back; what an allocator frees may stay with the process."""
    with mmap.mmap(-1, 64 * 2**20) as pages:
        for begin in range(0, len(pages), mmap.PAGESIZE):
            pages[begin] = 1


def peak_kib():
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def a_peak_can_be_forgotten():
    """Whether this system does so for a process, found without the code that is tested."""
    try:
        touched()
        high = peak_kib()
        Path("/proc/self/clear_refs").write_text("5")
        return peak_kib() < high - 32 * 2**10
    except OSError:
        return False


def test_the_peak_is_that_of_a_stage():
    if not a_peak_can_be_forgotten():
        pytest.skip("this system does not let a process forget its peak")
    touched()
    high = peak_mb()
    forget_peak()
    assert peak_mb() < high - 32
