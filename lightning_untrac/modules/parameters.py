"""Choose which parameters an unlearning run may move."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.sharding import repeated_blocks

SHORTHANDS = {
    "attention": r"(^|\.)(self_attn|encoder_attn|attn|attention|self_attention|SelfAttention|EncDecAttention)\.",
    "mlp": r"(^|\.)(mlp|feed_forward|DenseReluDense|fc1|fc2|ffn)\.",
    "embedding": r"(^|\.)(embed_tokens|embed_positions|wte|wpe|shared|word_embeddings|lm_head)\.",
    "norm": r"(^|\.)[^.]*(norm|ln_)[^.]*\.",
}
"""Names for the parts of the usual architectures; anything else is a regular expression."""

CLASSES = {
    "attention": re.compile(r"Attention"),
    "mlp": re.compile(r"MLP|Mlp|FeedForward|FFN|Moe|MoE|Experts"),
    "norm": re.compile(r"Norm"),
}
"""What the classes of those parts are called, where a model has other names for them."""

LAST_LAYERS = re.compile(r"last_([1-9]\d*)_layers?")


def select_parameters(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze every parameter that no pattern matches.

    Args:
        model: its ``requires_grad`` flags are changed; parameters that are frozen already stay so.
        patterns: each one of ``attention``, ``mlp``, ``embedding``, ``norm``, ``last_N_layers`` or a regular
            expression that is searched for in the parameter's name. A parameter is kept where any matches.
            ``embedding`` is all that has a row for each token or position, and the output head.

    Returns:
        Names of the parameters that stay trainable.

    Raises:
        ConfigurationError: if a pattern matches nothing or is no regular expression, or if some layers have nothing
            that could be told to be what it names.

    Example:
        >>> model = nn.ModuleDict({"attn": nn.Linear(1, 1, bias=False), "mlp": nn.Linear(1, 1, bias=False)})
        >>> select_parameters(model, ["attention"])
        ['attn.weight']
    """
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    kept: set[str] = set()
    problems: list[str] = []
    for pattern in patterns:
        matches = _matching(model, pattern, trainable, problems)
        if not matches and not any(repr(pattern) in problem for problem in problems):
            problems.append(
                f"model.trainable: {pattern!r} matches no trainable parameter; their names are like "
                f"{', '.join(trainable[:: max(1, len(trainable) // 4)][:5])}; shorthands are {', '.join(SHORTHANDS)}, "
                "last_N_layers"
            )
        kept |= matches
    if problems:
        raise ConfigurationError(problems)
    for name, parameter in model.named_parameters():
        if name not in kept:
            parameter.requires_grad_(False)
    return [name for name in trainable if name in kept]


def freeze(model: nn.Module, modules: Sequence[str]) -> None:
    """Freeze whole modules, which strategies then don't wait for.

    Args:
        model: its ``requires_grad`` flags are changed.
        modules: names in the model itself, not in what adapters have put around it.
    """
    for name, parameter in model.named_parameters():
        if any(f".{name}".find(f".{module}.") >= 0 for module in modules):
            parameter.requires_grad_(False)


def _matching(model: nn.Module, pattern: str, names: Sequence[str], problems: list[str]) -> set[str]:
    if last := LAST_LAYERS.fullmatch(pattern):
        # The encoder and the decoder of a seq2seq model each have their own last layers.
        kept = [blocks for stack in _stacks(model).values() for blocks in stack[-int(last[1]) :]]
        return {name for name in names if name.startswith(tuple(f"{block}." for block in kept))}
    try:
        expression = re.compile(SHORTHANDS.get(pattern, pattern))
    except re.error as error:
        problems.append(f"model.trainable: {pattern!r} is no regular expression ({error})")
        return set()
    found = {name for name in names if expression.search(name)}
    if pattern == "embedding":
        return found | _names_of(model, _embeddings(model), names)
    if pattern in CLASSES:
        found |= _of_class(model, CLASSES[pattern], names)
        _check_every_layer(model, pattern, found, names, problems)
    return found


def _stacks(model: nn.Module) -> dict[str, list[str]]:
    """Names of the repeated blocks, in order, by the name of the list that they are in."""
    lists = {id(module): name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    stacks: dict[str, list[str]] = {}
    for blocks, index in repeated_blocks(model):
        if any(True for _ in blocks[index].parameters()):
            stacks.setdefault(lists[id(blocks)], []).append(f"{lists[id(blocks)]}.{index}")
    return stacks


def _embeddings(model: Any) -> Iterator[nn.Module]:
    """What transformers calls embeddings and head, and every other table outside the layers (positions, say)."""
    for part in (model, *(getattr(model, name, lambda: None)() for name in ("get_encoder", "get_decoder"))):
        for accessor in ("get_input_embeddings", "get_output_embeddings"):
            try:
                module = getattr(part, accessor, lambda: None)()
            except (AttributeError, NotImplementedError):  # of an encoder without a head, say
                continue
            if module is not None:
                yield module
    inside = tuple(f"{block}." for stack in _stacks(model).values() for block in stack)
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and not f"{name}.".startswith(inside):
            yield module


def _names_of(model: nn.Module, modules: Iterator[nn.Module], names: Sequence[str]) -> set[str]:
    wanted = {id(parameter) for module in modules for parameter in module.parameters()}
    parameters = dict(model.named_parameters())
    return {name for name in names if id(parameters[name]) in wanted}


def _of_class(model: nn.Module, kind: re.Pattern[str], names: Sequence[str]) -> set[str]:
    inside = tuple(f"{name}." for name, module in model.named_modules() if name and kind.search(type(module).__name__))
    return {name for name in names if name.startswith(inside)} if inside else set()


def _check_every_layer(
    model: nn.Module, pattern: str, found: set[str], names: Sequence[str], problems: list[str]
) -> None:
    """A layer where nothing matches must have nothing that is left over and could be meant."""
    if not found:
        return
    told = {name for other in CLASSES for name in _known_parts(model, other, names)}
    for stack in _stacks(model).values():
        for block in stack:
            own = [name for name in names if name.startswith(f"{block}.")]
            rest = [name for name in own if name not in told]
            if rest and not found.intersection(own):
                problems.append(
                    f"model.trainable: {pattern!r} matches nothing in {block}, which has {', '.join(rest[:3])}; give a "
                    "regular expression for what is meant"
                )
                return


def _known_parts(model: nn.Module, pattern: str, names: Sequence[str]) -> set[str]:
    expression = re.compile(SHORTHANDS[pattern])
    return {name for name in names if expression.search(name)} | _of_class(model, CLASSES[pattern], names)
