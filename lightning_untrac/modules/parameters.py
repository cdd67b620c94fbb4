"""Choose which parameters an unlearning run may move."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from lightning_untrac.errors import ConfigurationError

SHORTHANDS = {
    "attention": r"(^|\.)(self_attn|encoder_attn|attn|attention|self_attention|SelfAttention|EncDecAttention)\.",
    "mlp": r"(^|\.)(mlp|feed_forward|DenseReluDense|fc1|fc2|ffn)\.",
    "embedding": r"(^|\.)(embed_tokens|embed_positions|wte|wpe|shared|word_embeddings|lm_head)\.",
    "norm": r"(^|\.)[^.]*(norm|ln_)[^.]*\.",
}
"""Names for the parts of the usual architectures; anything else is a regular expression."""

LAST_LAYERS = re.compile(r"last_([1-9]\d*)_layers?")
LAYER_INDEX = re.compile(r"\.(?:layers|h|block|blocks)\.(\d+)\.")


def select_parameters(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze every parameter that no pattern matches.

    Args:
        model: its ``requires_grad`` flags are changed; parameters that are frozen already stay so.
        patterns: each one of ``attention``, ``mlp``, ``embedding``, ``norm``, ``last_N_layers`` or a regular
            expression that is searched for in the parameter's name. A parameter is kept where any matches.

    Returns:
        Names of the parameters that stay trainable.

    Raises:
        ConfigurationError: if a pattern matches nothing or is no regular expression.

    Example:
        >>> model = nn.ModuleDict({"attn": nn.Linear(1, 1, bias=False), "mlp": nn.Linear(1, 1, bias=False)})
        >>> select_parameters(model, ["attention"])
        ['attn.weight']
    """
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    kept: set[str] = set()
    problems: list[str] = []
    for pattern in patterns:
        matches = _matching(pattern, trainable, problems)
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


def _matching(pattern: str, names: Sequence[str], problems: list[str]) -> set[str]:
    if last := LAST_LAYERS.fullmatch(pattern):
        # The encoder and the decoder of a seq2seq model each have their own last layers.
        layers: dict[str, dict[int, set[str]]] = {}
        for name in names:
            if found := LAYER_INDEX.search(f".{name}"):
                stack = f".{name}"[: found.start()]
                layers.setdefault(stack, {}).setdefault(int(found[1]), set()).add(name)
        return {name for stack in layers.values() for layer in sorted(stack)[-int(last[1]) :] for name in stack[layer]}
    try:
        expression = re.compile(SHORTHANDS.get(pattern, pattern))
    except re.error as error:
        problems.append(f"model.trainable: {pattern!r} is no regular expression ({error})")
        return set()
    return {name for name in names if expression.search(name)}
