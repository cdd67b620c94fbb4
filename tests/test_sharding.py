"""Blocks are found by structure, and recomputing or compiling them changes nothing but time and memory."""

from __future__ import annotations

import shutil

import pytest
import torch

from lightning_untrac import LanguageModule, Unlearning
from lightning_untrac.sharding import local_shard, repeated_blocks, reshard, whole_weights


def load(folder, **options):
    module = LanguageModule(folder, **options)
    module.configure_model()
    return module


@pytest.mark.parametrize(("architecture", "count"), [("llama", 2), ("gpt2", 2), ("opt", 2), ("t5", 4)])
def test_blocks_of_each_architecture(model_folders, architecture, count):
    model = load(model_folders(architecture)).model
    classes = {type(blocks[index]).__name__ for blocks, index in repeated_blocks(model)}
    assert len(repeated_blocks(model)) == count
    assert len(classes) == 1
    # transformers' own list of what must not be split across devices
    assert classes <= set(model._no_split_modules)


def test_blocks_below_adapters(model_folders):
    model = load(model_folders("llama"), lora={"r": 2, "target_modules": ["q_proj"]}).model
    assert len(repeated_blocks(model)) == 2


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt", "t5"])
def test_recomputed_activations_give_the_same_gradients(model_folders, architecture):
    torch.manual_seed(0)
    batch = {"input_ids": torch.randint(3, 200, (3, 7)), "labels": torch.randint(3, 200, (3, 7))}
    gradients, saved = [], []
    for checkpointed in (False, True):
        module = load(model_folders(architecture), dropout=False, activation_checkpointing=checkpointed)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            module.mean_loss(batch).backward()
        gradients.append({name: p.grad for name, p in module.model.named_parameters()})
        saved.append(sum(sizes))
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=0)
    assert saved[1] < saved[0] * 0.8


def test_recomputing_in_a_trace(trace, make_data):
    plain, *_ = trace(data=make_data(batch_size=4))
    recomputed, *_ = trace(data=make_data(batch_size=4), module_options={"activation_checkpointing": True})
    assert recomputed == plain


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch 2.13's own, in what compiling imports
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_model_gives_the_same_trace(trace, make_data, model_folders):
    # Blocks and one batch of examples: every further shape would be compiled anew, for many seconds each.
    data = {"corpora": ("birds",), "test_sets": ("ask-birds",), "batch_size": 4, "block_size": 32, "eval_batch_size": 8}
    plain, *_ = trace(data=make_data(**data), steps=2)
    compiled, _, module = trace(data=make_data(**data), steps=2, module_options={"compile": True})
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert {name for name, _ in module.model.named_parameters()} == {
        name for name, _ in load(model_folders("llama")).model.named_parameters()
    }


def test_one_device_has_the_whole():
    model = torch.nn.Linear(2, 3)
    reshard(model)
    assert local_shard(model.weight) is model.weight
    assert whole_weights(model)["weight"].data_ptr() == model.weight.data_ptr()


def test_options_are_passed_on():
    module = Unlearning("somewhere", activation_checkpointing=True, compile=True)
    assert module.activation_checkpointing
    assert module.compiled
