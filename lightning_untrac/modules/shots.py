"""Pairs of question and answer that stand before a question: of what was never to be forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from lightning_untrac.data.encoding import content_hash
from lightning_untrac.data.question_frame import prompt_and_answer
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.decoding import Pair, Shots
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.modules.continuations import text_after
from lightning_untrac.modules.framing import Framing
from lightning_untrac.modules.questions import Question


@dataclass(frozen=True)
class Forgotten:
    """What must not stand among shots.

    Attributes:
        names: of the datasets.
        groups: of their examples.
        hashes: their examples' content hashes, so that a copy elsewhere is known too.
    """

    names: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, datasets: Mapping[str, TokenizedDataset], names: Sequence[str]) -> Forgotten:
        """What stands in some datasets.

        Args:
            datasets: all by name.
            names: of those that are forgotten; others are passed over.
        """
        mine = [datasets[name] for name in dict.fromkeys(names) if name in datasets]
        groups = frozenset(group for one in mine for group in one.marks.groups or ())
        hashes = frozenset(one for dataset in mine for one in dataset.distinct_hashes().to_pylist())
        return cls(tuple(dataset.name for dataset in mine), groups, hashes)


def forgotten_names(data: Any, shots: Shots) -> list[str]:
    """Names of the datasets that are forgotten: by the plan, as ``data.forget``, and as the shots' settings say.

    Args:
        data: a DataModule with a plan.
        shots: how they are drawn.
    """
    return [*data.active_plan.only, *data.tokenized_forget, *data.never_shots, *shots.forgotten]


@dataclass
class Pool:
    """What shots are drawn from.

    Attributes:
        forgotten: what is left out.
        datasets: whose examples ask and answer.
        pairs: of a file, in place of datasets.
    """

    forgotten: Forgotten
    datasets: list[TokenizedDataset] = field(default_factory=list)
    pairs: tuple[Pair, ...] | None = None

    @classmethod
    def of(cls, framing: Framing, shots: Shots) -> Pool:
        """That of a module's data; the pairs of a file take the place of the corpora.

        Args:
            framing: of the model.
            shots: how they are drawn.

        Raises:
            ConfigurationError: if there is nothing to draw from, or what is forgotten isn't known.
        """
        data = framing.module.trainer.datamodule
        unknown = [name for name in shots.forgotten if name not in data.tokenized]
        raise_if_any(
            f"measures: {shots.measure}: forgotten names {name!r}, and there is no such dataset; there are "
            f"{', '.join(data.tokenized)}"
            for name in unknown
        )
        forgotten = Forgotten.of(data.tokenized, forgotten_names(data, shots))
        if shots.pairs is not None:
            return cls(forgotten, pairs=shots.pairs)
        kept = [one for name, one in data.tokenized_corpora.items() if name not in forgotten.names]
        datasets = [one for one in kept if len(one) and _pair_of(framing, one, 0) is not None]
        if not datasets:
            there = ", ".join(one.name for one in kept) or "none"
            raise ConfigurationError(
                [f"measures: {shots.measure} finds no pairs of question and answer to show or ask beside a question: "
                 f"corpora beside what is forgotten ({', '.join(forgotten.names) or 'nothing'}): {there}, and none of "
                 "them has `prompt` and `target` or `messages`; name such a corpus, or give `path`, a JSON lines file "
                 "of pairs"]
            )  # fmt: skip
        return cls(forgotten, datasets)

    def draw(self, framing: Framing, question: Question, shots: Shots) -> list[Pair]:
        """The pairs before a question: of the question and the seed alone, and fewer are the first of more.

        Args:
            framing: of the model.
            question: before which they stand; none of its group and no copy of it is among them.
            shots: how they are drawn.
        """
        asked = framing.module.trainer.datamodule.tokenized.get(question.dataset)
        groups, hashes = set(self.forgotten.groups), set(self.forgotten.hashes)
        if asked is not None:
            groups |= {asked.marks.groups[question.number]} if asked.marks.groups else set()
            hashes |= {asked.content_hash(question.number)}
        rng = np.random.default_rng((*question.example, shots.seed))
        found: list[Pair] = []
        for pair in self._in_order(framing, rng, groups, hashes):
            if len(found) == shots.count:
                break
            if pair.prompt.strip() not in ("", question.asked.question):
                found.append(pair)
        return found

    def _in_order(
        self, framing: Framing, rng: np.random.Generator, groups: set[str], hashes: set[str]
    ) -> Iterator[Pair]:
        if self.pairs is not None:
            for index in rng.permutation(len(self.pairs)).tolist():
                pair = self.pairs[index]
                if pair.group not in groups and content_hash(pair.prompt, pair.target.strip()) not in hashes:
                    yield pair
            return
        ends = np.cumsum([len(one) for one in self.datasets])
        for place in rng.permutation(int(ends[-1])).tolist():
            which = int(np.searchsorted(ends, place, side="right"))
            dataset = self.datasets[which]
            row = place - int(ends[which]) + len(dataset)
            if dataset.marks.groups and dataset.marks.groups[row] in groups:
                continue
            if dataset.content_hash(row) not in hashes and (pair := _pair_of(framing, dataset, row)) is not None:
                yield pair


def _pair_of(framing: Framing, dataset: TokenizedDataset, row: int) -> Pair | None:
    """An example as texts; None where it asks nothing."""
    module, ids = framing.module, dataset[row]
    split = prompt_and_answer(ids["input_ids"], ids["labels"], module.is_seq2seq)
    if split is None or not len(split[0]):
        return None
    prompt, answer = (part.tolist() for part in split)
    _, message, _ = framing.parts(prompt, dataset.config.messages is not None)
    special = module.tokenizer.all_special_ids
    said = text_after(module.tokenizer, prompt, [one for one in answer if one not in special], module.is_seq2seq)
    said = said.rstrip()
    # What stood between the two is lost in a conversation, and where the target is a text of its own.
    space = "" if said[:1].isspace() or dataset.config.separator == "" else " "
    return Pair(message, space + said) if message.strip() and said.strip() else None


_pools: WeakKeyDictionary[Any, tuple[Any, Pool]] = WeakKeyDictionary()
"""Of each DataModule the newest pool, and what it is of."""


def shots_before(framing: Framing, question: Question, shots: Shots) -> list[Pair]:
    """The pairs before a question, as many as are asked for and there are.

    Args:
        framing: of the model.
        question: before which they stand.
        shots: how they are drawn.

    Raises:
        ConfigurationError: if there is nothing to draw from.
    """
    data = framing.module.trainer.datamodule
    names = tuple(forgotten_names(data, shots))
    key = (shots.forgotten, shots.pairs, names, tuple(one.fingerprint for one in data.tokenized_corpora.values()))
    known = _pools.get(data)
    if known is None or known[0] != key:
        known = _pools[data] = (key, Pool.of(framing, shots))
    return known[1].draw(framing, question, shots)
