"""What a model says next: continuations of several prompts at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch

from lightning_untrac.data.tokenizers import padding_token

GREEDY: Final = {"do_sample": False, "num_beams": 1, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
"""The likeliest token each time, also where the model's own settings ask for draws."""

OWN_CHANCES: Final = {
    "min_length": 0,
    "min_new_tokens": None,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "bad_words_ids": None,
    "sequence_bias": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": None,
}
"""Beside :data:`GREEDY`: what the model's own settings may do to its probabilities. Draws and first choices leave it
out."""

AT_ONCE: Final = 16
"""Prompts that are continued in one batch."""


def ending_tokens(module: Any) -> list[int]:
    """The tokens that end what a model says: EOS, what its generation settings name, and BOS of the next document."""
    settings = getattr(module.model, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    named = named if isinstance(named, list) else [named]
    tokenizer = module.tokenizer
    return sorted({t for t in (tokenizer.eos_token_id, tokenizer.bos_token_id, *named) if t is not None})


def until_end(ids: np.ndarray, ends: Sequence[int], keeps_end: bool = False) -> np.ndarray:
    """Token ids up to the first that ends what a model says.

    Args:
        ids: ``[length]``.
        ends: the tokens that end it.
        keeps_end: whether that first one belongs to it.

    Example:
        >>> until_end(np.array([5, 6, 2, 7]), [1, 2]).tolist(), until_end(np.array([5]), [2]).tolist()
        ([5, 6], [5])
        >>> until_end(np.array([5, 6, 2, 7]), [1, 2], keeps_end=True).tolist()
        [5, 6, 2]
    """
    stop = np.flatnonzero(np.isin(ids, ends))
    return ids[: stop[0] + int(keeps_end)] if len(stop) else ids


class Drawing:
    """Draws tokens, row for row with chances of its own: the likeliest after Gumbel noise is a draw.

    Args:
        chances: of each row, one number a token and step.
        temperature: of the draws.

    Example:
        A token of three quarters is drawn three times of four:

        >>> logits = torch.tensor([[0.75, 0.25]]).log().repeat(4000, 1)
        >>> drawing = Drawing([np.random.default_rng(row) for row in range(4000)], 1.0)
        >>> round(drawing(torch.zeros(4000, 1), logits).argmax(1).eq(0).double().mean().item(), 2)
        0.75
    """

    def __init__(self, chances: Sequence[np.random.Generator], temperature: float) -> None:
        self.chances, self.temperature = chances, temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits with noise, ``[rows, vocabulary]``, whose likeliest token is drawn.

        Args:
            input_ids: what stands before.
            scores: logits.
        """
        noise = np.stack([chance.gumbel(size=scores.shape[1]) for chance in self.chances])
        return scores.double() / self.temperature + torch.from_numpy(noise).to(scores.device)


def text_after(tokenizer: Any, prompt: Sequence[int], ids: Sequence[int], apart: bool) -> str:
    """What a continuation says.

    Args:
        tokenizer: of both.
        prompt: what stands before it.
        ids: the continuation.
        apart: whether it is a text of its own (an encoder-decoder's).
    """
    # Some tokenizers write no space before the first word, which only the whole text shows.
    front, whole = tokenizer.decode(prompt), tokenizer.decode([*prompt, *ids])
    joined = not apart and whole.startswith(front)
    said = whole[len(front) :] if joined else tokenizer.decode(ids)
    return str(said).rstrip("\ufffd")


def answer_after(
    module: Any, prompt: Sequence[int], ids: Sequence[int], *, many_lines: bool = False
) -> tuple[str, bool]:
    """A continuation as an answer: one line, where no chat template says when an answer ends.

    Args:
        module: whose tokenizer it is.
        prompt: what stands before it.
        ids: the continuation.
        many_lines: whether it goes on after its first line.

    Returns:
        The answer, and whether it ended with its line, before the continuation did.
    """
    tokenizer, special = module.tokenizer, module.tokenizer.all_special_ids
    said = text_after(tokenizer, prompt, [one for one in ids if one not in special], module.is_seq2seq).strip()
    if many_lines or tokenizer.chat_template or "\n" not in said:
        return said, False
    return said.partition("\n")[0].rstrip(), True


def continuations(
    module: Any,
    prompts: Sequence[Sequence[int]],
    longest: int,
    chances: Sequence[np.random.Generator] | None = None,
    temperature: float = 1.0,
    at_once: int = AT_ONCE,
    keeps_end: bool = False,
) -> list[list[int]]:
    """Continuations, without the token that ends them; greedy unless they are drawn.

    Every rank continues all prompts, so that ranks that share the weights take the same steps.

    Args:
        module: in a Trainer, with its weights. The mode that it is in (training or not) stays.
        prompts: token ids; of an encoder-decoder the sources. None is empty.
        longest: most tokens of a continuation. It has fewer where the context of a causal model ends before.
        chances: of each prompt; None for the likeliest token each time.
        temperature: of the draws.
        at_once: prompts of a batch.
        keeps_end: whether the token that ends a continuation stays: it is drawn as any other is.

    Returns:
        Token ids, in the order of the prompts.
    """
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    found: dict[int, list[int]] = {}
    was_training = module.model.training
    module.model.eval()
    try:
        with torch.no_grad(), module.trainer.precision_plugin.val_step_context():
            for chosen in _batches(module, [(index, len(prompts[index])) for index in order], longest, at_once):
                drawing = None if chances is None else Drawing([chances[index] for index in chosen], temperature)
                said = _continued(module, [prompts[index] for index in chosen], longest, drawing, keeps_end)
                found |= zip(chosen, said, strict=True)
    finally:
        module.model.train(was_training)
    return [found[index] for index in range(len(prompts))]


def _batches(module: Any, sizes: Sequence[tuple[int, int]], longest: int, at_once: int) -> Iterator[list[int]]:
    """Prompts in batches; one that leaves too little of the context is alone, so that none is cut for another's sake.

    Args:
        module: whose context it is.
        sizes: index and length of each prompt, shortest first.
        longest: most tokens of a continuation.
        at_once: prompts of a batch.
    """
    context = None if module.is_seq2seq else module.context_length
    roomy = [index for index, size in sizes if context is None or size + longest <= context]
    yield from (roomy[begin : begin + at_once] for begin in range(0, len(roomy), at_once))
    yield from ([index] for index, _ in sizes[len(roomy) :])


def _continued(
    module: Any, prompts: Sequence[Sequence[int]], longest: int, drawing: Drawing | None, keeps_end: bool
) -> list[list[int]]:
    """Those of one batch."""
    model: Any = module.model
    width = max(map(len, prompts))
    context = module.target_context_length if module.is_seq2seq else module.context_length
    room = longest if context is None else min(longest, context - (1 if module.is_seq2seq else width))
    if room < 1:
        return [[] for _ in prompts]
    padding, ends = padding_token(module.tokenizer, module.vocabulary_size), ending_tokens(module)
    device = module.trainer.strategy.root_device
    ids = torch.full((len(prompts), width), padding, device=device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        # A decoder goes on at the right end; an encoder counts its positions from the left.
        where = slice(0, len(prompt)) if module.is_seq2seq else slice(width - len(prompt), width)
        ids[row, where] = torch.as_tensor(np.asarray(prompt, dtype=np.int64), device=device)
        mask[row, where] = 1
    made = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=room,
        repetition_penalty=1.0,
        use_cache=not module.is_seq2seq,  # transformers makes a decoder's as deep as the encoder
        eos_token_id=ends or None,
        pad_token_id=padding,
        logits_processor=[] if drawing is None else [drawing],
        **GREEDY,
        **({} if drawing is None else OWN_CHANCES),
    )
    rows = made.cpu().numpy()[:, 1 if module.is_seq2seq else width :]
    return [until_end(row, ends, keeps_end).tolist() for row in rows]
