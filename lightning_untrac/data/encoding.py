"""Batches of rows to token ids and labels: the whole text is tokenised, and its targets are found by their place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.chat import Chat, ConversationError, Span
from lightning_untrac.data.tokenizers import document_end, document_start
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.tasks import LANGUAGE, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Encoded = tuple[list[int], Any, int, int]
"""Input ids, labels, the number of targets, and the number of tokens before any cut."""


@dataclass(frozen=True)
class TokenizationConfig:
    """How text becomes token ids.

    Attributes:
        seq2seq: source and target for an encoder-decoder (the source without special tokens, the target with EOS, as
            the paper's T5 runs), instead of one sequence for a causal model.
        max_length: most tokens of one example (of its source and of its target, for seq2seq); None for no limit.
        append_eos: end each causal document in EOS, where EOS is not what the next one begins with anyway.
        document_start: what a causal document begins with: ``bos``, ``eos``, ``nothing``, or a token of the vocabulary;
            None for BOS, or EOS where there is no BOS.
        task: of the model.
    """

    seq2seq: bool = False
    max_length: int | None = None
    append_eos: bool = False
    document_start: str | None = None
    task: Task = LANGUAGE

    def identity(self) -> dict[str, Any]:
        """Equal for what encodes alike; a part of the cache's key."""
        found = asdict(self)
        return found if self.task.classifies else {name: one for name, one in found.items() if name != "task"}


def content_hash(prompt: str, target: str) -> str:
    """Identity of an example: 16 hexadecimal digits of the SHA-256 of its text.

    Example:
        >>> content_hash("", "a b") == content_hash("a", "b")
        False
    """
    return hashlib.sha256(f"{prompt}\x1f{target}".encode()).hexdigest()[:16]


class Encoder:
    """A batch of rows to token ids.

    A text is tokenised as a whole, because a tokenizer that is given pieces may cut them otherwise (one that puts a
    space before every text makes two tokens of the second piece where the whole has one). A token is a target where it
    holds a character of the target; one that spans the border between prompt and target therefore is one.

    Args:
        tokenizer: any of transformers'. A slow one, which can't say where its tokens lie, is asked for the tokens of
            the text up to each border: those that the whole text begins with too lie before it.
        how: see :class:`TokenizationConfig`.
        separator: what stands between prompt and target for a causal model; part of the target.

    Raises:
        ConfigurationError: if the tokenizer lacks a token that ``how`` needs.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, how: TokenizationConfig, separator: str) -> None:
        self.tokenizer, self.how, self.separator = tokenizer, how, separator
        self.start = None if how.seq2seq else document_start(tokenizer, how.document_start)
        self.end = document_end(tokenizer, how.seq2seq) if how.seq2seq or how.append_eos else None
        if not how.seq2seq and self.start == self.end:
            self.end = None  # the next document's first token already says that this one has ended
        self._chat: Chat | None = None
        self._rows = 0

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        """Encode a batch; rows with nothing to predict are left out.

        Args:
            batch: ``text``; or ``prompt`` and ``target``; or ``messages`` and perhaps ``tools`` (JSON).

        Returns:
            The columns of the token cache, a list each.

        Raises:
            ConversationError: if the tokenizer's chat template refuses a conversation.
        """
        return token_columns(self._examples(batch), self.how.max_length)

    def _examples(self, batch: dict[str, list[str]]) -> Iterator[tuple[str, Encoded]]:
        """A content hash and a sequence for each row that has a text to predict."""
        if "text" in batch:
            texts = [text for text in batch["text"] if text]
            for text, ids in zip(texts, self._ids(texts), strict=True):
                yield content_hash("", text), self._causal(ids, np.ones(len(ids), dtype=bool))
        elif "messages" in batch:
            rows = list(zip(batch["messages"], batch["tools"], strict=True))
            rendered = [self._rendered(*row) for row in rows]
            encoded = self._located([text for text, _ in rendered], [spans for _, spans in rendered])
            for (messages, tools), (ids, is_target) in zip(rows, encoded, strict=True):
                yield content_hash(tools, messages), self._causal(ids, is_target, complete=True)
        else:
            pairs = [(p, t) for p, t in zip(batch["prompt"], batch["target"], strict=True) if t]
            if self.how.seq2seq:
                sources, targets = self._ids([p for p, _ in pairs]), self._ids([t for _, t in pairs])
                for pair, source, target in zip(pairs, sources, targets, strict=True):
                    yield content_hash(*pair), self._seq2seq(source, target)
                return
            texts = [prompt + self.separator + target for prompt, target in pairs]
            spans = [[(len(prompt), len(text))] for (prompt, _), text in zip(pairs, texts, strict=True)]
            for pair, (ids, is_target) in zip(pairs, self._located(texts, spans), strict=True):
                yield content_hash(*pair), self._causal(ids, is_target, prompted=bool(pair[0]))

    def _rendered(self, messages: str, tools: str) -> tuple[str, list[Span]]:
        self._chat = self._chat or Chat(self.tokenizer)
        self._rows += 1
        try:
            return self._chat(messages, tools)
        except ConversationError as error:
            raise ConversationError(f"conversation {self._rows}: {error}") from error

    # -- where the targets are -------------------------------------------------------------------------------------

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []

    def _located(self, texts: list[str], spans: Sequence[Sequence[Span]]) -> list[tuple[list[int], np.ndarray]]:
        """Of each text its ids, and which of them hold a character of one of its spans."""
        if not texts:
            return []
        if not getattr(self.tokenizer, "is_fast", False):
            rows = zip(texts, spans, self._ids(texts), strict=True)
            return [(ids, self._by_pieces(text, inside, ids)) for text, inside, ids in rows]
        encoded = self.tokenizer(texts, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
        found = []
        for text, inside, ids, offsets in zip(
            texts, spans, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            starts, ends = np.asarray(offsets, dtype=np.int64).reshape(-1, 2).T
            if len(ids) and text and not ends.any():  # a tokenizer that doesn't keep count
                found.append((ids, self._by_pieces(text, inside, ids)))
                continue
            is_target = np.zeros(len(ids), dtype=bool)
            for first, last in inside:
                is_target |= ((ends > first) | (first == 0)) & (starts < last)
            found.append((ids, is_target))
        return found

    def _by_pieces(self, text: str, spans: Sequence[Span], ids: list[int]) -> np.ndarray:
        """The same without offsets."""
        borders = sorted({border for span in spans for border in span if 0 < border < len(text)})
        before = dict(zip(borders, self._ids([text[:border] for border in borders]), strict=True))
        is_target = np.zeros(len(ids), dtype=bool)
        for first, last in spans:
            begin = _common(before[first], ids) if first in before else 0
            end = len(ids)
            if last in before:
                common = _common(before[last], ids)
                end = common if common == len(before[last]) else common + 1
            is_target[begin:end] = True
        return is_target

    # -- sequences -------------------------------------------------------------------------------------------------

    def _causal(self, ids: list[int], is_target: np.ndarray, prompted: bool = False, complete: bool = False) -> Encoded:
        """One sequence.

        Args:
            ids: of the whole text.
            is_target: which of them are.
            prompted: whether what stands first is a prompt.
            complete: whether the text brings its own beginning and end (a chat template's).
        """
        if not ids:
            return [], np.empty(0, dtype=np.int32), 0, 0
        # Never a second one: the text may begin (or end) with it already.
        if self.start is not None and ids[0] != self.start and not (complete and not is_target[0]):
            ids, is_target = [self.start, *ids], np.append(not prompted, is_target)
        if self.end is not None and ids[-1] != self.end and not complete:
            ids, is_target = [*ids, self.end], np.append(is_target, True)
        before = len(ids)
        if self.how.max_length is not None and before > self.how.max_length:
            # The targets are what is measured: cut the beginning of what stands before them first, then the end.
            head = int(ids[0] == self.start)
            cut = min(before - self.how.max_length, int(np.argmax(is_target[1:])) + 1 - max(head, 1))
            ids = [*ids[:head], *ids[head + cut :]][: self.how.max_length]
            is_target = np.delete(is_target, slice(head, head + cut))[: self.how.max_length]
        # The first token of a text is a target only inside a packed block, where something stands before it.
        return ids, np.where(is_target, ids, IGNORE_INDEX), int(is_target[1:].sum()), before

    def _seq2seq(self, source: list[int], target: list[int]) -> Encoded:
        if not target:
            return [], [], 0, 0
        if target[-1] != self.end:
            assert self.end is not None
            target = [*target, self.end]
        before = max(len(source), len(target))
        target = target[: self.how.max_length]
        return source[: self.how.max_length], target, len(target), before


def token_columns(
    examples: Iterable[tuple[str, Encoded]], max_length: int | None, class_ids: bool = False
) -> dict[str, list[Any]]:
    """The columns of the token cache, a list each; examples with nothing to predict are left out.

    Args:
        examples: a content hash and a sequence each.
        max_length: most tokens of one.
        class_ids: whether labels are ids of classes and not of tokens.
    """
    names = ("input_ids", "labels", "content_hash", "num_tokens_before_cut", "truncated", "num_targets", "max_token")
    out: dict[str, list[Any]] = {name: [] for name in names}
    for identity, (input_ids, labels, num_targets, before) in examples:
        if not num_targets:  # what is dropped is counted and reported
            continue
        out["input_ids"].append(np.asarray(input_ids, dtype=np.int32))
        out["labels"].append(np.asarray(labels, dtype=np.int32))
        out["content_hash"].append(identity)
        out["num_tokens_before_cut"].append(before)
        out["truncated"].append(max_length is not None and before > max_length)
        out["num_targets"].append(num_targets)
        out["max_token"].append(max(max(input_ids, default=0), 0 if class_ids else max(labels)))
    return out


def _common(prefix: list[int], ids: list[int]) -> int:
    """How many tokens two texts begin with alike."""
    for index, (one, other) in enumerate(zip(prefix, ids, strict=False)):
        if one != other:
            return index
    return min(len(prefix), len(ids))
