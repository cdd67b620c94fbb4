"""The blocks of a language model that carry the hidden states of the tokens that are predicted, of any architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_untrac.modules.heads import Seq2SeqHead, head_of
from lightning_untrac.modules.small_models import make, smaller_configs, without_weights
from lightning_untrac.sharding import repeated_blocks

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SOURCE, TARGET = 7, 5
"""Tokens of the source and of the target of the text that is tried; unlike, so that an encoder's states are told
from a decoder's."""

FSDP1_NAME = "_fsdp_wrapped_module."


@dataclass(frozen=True)
class Blocks:
    """Where a model's blocks are.

    Attributes:
        name: of their list in the model, such as ``model.layers``.
        count: how many there are.
    """

    name: str
    count: int

    def of(self, model: nn.Module) -> list[nn.Module]:
        """The blocks of a model, from the first above the embeddings.

        Args:
            model: of the architecture, wrapped by FSDP1 or not.
        """
        return list(_lists(model)[self.name])


def find_blocks(config: PretrainedConfig, *, trust_remote_code: bool = False) -> Blocks | None:
    """Find the blocks of an architecture by trying a small model of it.

    They are the outermost list whose members each run once, give hidden states ``[batch, length, width]`` of the tokens
    that are predicted (alone, or first in a tuple), and all matter for what is predicted.

    Args:
        config: of the model; it stays as it is.
        trust_remote_code: as for transformers.

    Returns:
        None where there are none, or where no small model of the architecture can be made.
    """
    for small in smaller_configs(config):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            try:
                model = make(small, trust_remote_code=trust_remote_code).eval()
                name = _find(model)
            except Exception:  # whatever a class of transformers makes of a smaller configuration
                continue
        if name is None:
            return None
        whole = without_weights(config, trust_remote_code=trust_remote_code)
        return Blocks(name, len(_lists(whole)[name]))
    return None


def states_of(output: Any) -> Tensor | None:
    """The hidden states that a block gives: its output, or the first of it; None where there are none."""
    first = output[0] if isinstance(output, (tuple, list)) and output else output
    return first if isinstance(first, Tensor) and first.dim() == 3 else None


@contextmanager
def recorded(blocks: Sequence[nn.Module]) -> Iterator[dict[int, list[Any]]]:
    """Within it, what blocks give is kept.

    Args:
        blocks: of a model.

    Yields:
        Place of a block to its outputs, one a call, in the order in which blocks first run.
    """
    found: dict[int, list[Any]] = {}
    handles = [
        block.register_forward_hook(lambda _, __, output, place=place: found.setdefault(place, []).append(output))
        for place, block in enumerate(blocks)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def patched(block: nn.Module, states: Tensor, places: Tensor) -> Iterator[list[bool]]:
    """Within it, a block gives other states at some places.

    Args:
        block: of a model.
        states: ``[places, width]``.
        places: ``[batch, length]`` bool.

    Yields:
        One entry for each time that the block has run.
    """
    ran: list[bool] = []

    def replace(module: nn.Module, inputs: Any, output: Any) -> Any:
        ran.append(True)
        own = states_of(output)
        assert own is not None
        mixed = own.clone()
        mixed[places] = states.to(own)
        return mixed if isinstance(output, Tensor) else type(output)([mixed, *output[1:]])

    handle = block.register_forward_hook(replace)
    try:
        yield ran
    finally:
        handle.remove()


def _lists(model: nn.Module) -> dict[str, nn.ModuleList]:
    """Outermost lists of modules by their names."""
    names = {id(module): name.replace(FSDP1_NAME, "") for name, module in model.named_modules()}
    return {names[id(blocks)]: blocks for blocks, index in repeated_blocks(model) if index == 0}


def _find(model: Any) -> str | None:
    lists = _lists(model)
    every = [(name, block) for name, blocks in lists.items() for block in blocks]
    head = head_of(model.config)
    ids = 3 + torch.arange(2 * SOURCE).view(2, SOURCE) % (model.config.get_text_config().vocab_size - 4)
    labels = ids[:, :TARGET] if isinstance(head, Seq2SeqHead) else ids
    batch: Any = {"input_ids": ids, "labels": labels}
    with recorded([block for _, block in every]) as outputs:
        logits = head.run(model, batch)[0].logits
    places = torch.zeros(labels.shape, dtype=torch.bool)
    places[:, -1] = True
    by_last_run = dict.fromkeys(every[place][0] for place in reversed(outputs))
    for name in by_last_run:
        mine = [place for place, (its, _) in enumerate(every) if its == name]
        calls = [outputs.get(place, []) for place in mine]
        states = [states_of(one[0]) if len(one) == 1 else None for one in calls]
        if not all(one is not None and one.shape[:2] == labels.shape for one in states):
            continue
        if all(
            _matters(head, model, batch, every[place][1], own, places, logits)
            for place, own in zip(mine, states, strict=True)
        ):
            return name
    return None


def _matters(head: Any, model: Any, batch: Any, block: Any, own: Any, places: Tensor, logits: Tensor) -> bool:
    """Whether other states of a block change what is predicted from there, and its own change nothing."""

    def under(states: Tensor) -> Tensor:
        with patched(block, states, places):
            return head.run(model, batch)[0].logits

    same, other = under(own[places]), under(torch.randn_like(own[places]))
    return bool(torch.equal(same, logits) and not torch.allclose(other[:, -1], logits[:, -1]))
