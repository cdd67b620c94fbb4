"""A forget set that is chosen examples of a corpus: the corpus is taken apart into those and the rest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lightning_untrac.data.config import CHOSEN
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.naming import counted

CONTENT_HASH = re.compile(r"[0-9a-f]{16}")
ROW_NUMBER = re.compile(r"[0-9]{1,15}")

NAMED_AT_MOST = 5


@dataclass(frozen=True)
class ForgetChoice:
    """Which examples of a corpus are to be forgotten.

    Attributes:
        corpus: its name.
        ids: content hashes (16 hexadecimal digits) or row numbers, counted from 0 as in ``examples.parquet``: rows with
            nothing to predict were left out before.
        option: which option chose them; begins each message.
        of_forget: whether it is no corpus but a dataset of ``data.forget``, whose other examples stay one too: they
            are neither traced nor retained.
    """

    corpus: str
    ids: tuple[str, ...]
    option: str = "forget_examples"
    of_forget: bool = False

    @property
    def chosen(self) -> str:
        """What the chosen examples are called in tables and on the command line."""
        return f"{self.corpus}{CHOSEN[0]}"

    @property
    def rest(self) -> str:
        """What the other examples of the corpus are called."""
        return f"{self.corpus}{CHOSEN[1]}"

    @property
    def digest(self) -> str:
        """Equal for two choices of the same ids, in whatever order."""
        return hashlib.sha256("\n".join(sorted(set(self.ids))).encode()).hexdigest()[:16]


class SomeExamples(TokenizedDataset):
    """Some examples of a tokenised dataset, read in place.

    Args:
        whole: the dataset.
        indices: which of its examples, ascending.
        name: what they are called.
    """

    def __init__(self, whole: TokenizedDataset, indices: np.ndarray, name: str) -> None:
        self.whole, self.indices, self.name = whole, indices, name
        self.config = replace(whole.config, name=name, num_examples=None)
        self.marks = whole.marks.of(indices)
        self.fingerprint = hashlib.sha256(
            f"{whole.fingerprint}\n{','.join(map(str, indices.tolist()))}".encode()
        ).hexdigest()[:32]
        self.num_source_examples = len(indices)
        self.num_truncated = int(whole.is_truncated()[indices].sum())
        self.num_targets = int(whole.target_counts()[indices].sum())
        self.longest, self.max_token = whole.longest, whole.max_token
        self.longest_source_after_cut = whole.longest_source_after_cut
        self.longest_target_after_cut = whole.longest_target_after_cut
        self.alternative = whole.alternative and SomeExamples(whole.alternative, indices, name)
        self.other_answers = {kind: answers.of(indices) for kind, answers in whole.other_answers.items()}

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.whole[int(self.indices[index])]

    def content_hash(self, index: int) -> str:
        """See the base class."""
        return self.whole.content_hash(int(self.indices[index]))

    def content_hashes(self, indices: np.ndarray) -> Any:
        """See the base class."""
        return self.whole.content_hashes(self.indices[indices])

    def distinct_hashes(self) -> Any:
        """See the base class."""
        return self.whole.content_hashes(self.indices).unique()

    def lengths(self) -> np.ndarray:
        """See the base class."""
        return self.whole.lengths()[self.indices]

    def target_counts(self) -> np.ndarray:
        """See the base class."""
        return self.whole.target_counts()[self.indices]

    def is_truncated(self) -> np.ndarray:
        """See the base class."""
        return self.whole.is_truncated()[self.indices]


def take_apart(
    corpora: Mapping[str, TokenizedDataset], choice: ForgetChoice
) -> tuple[dict[str, TokenizedDataset], SomeExamples | None, list[str]]:
    """Take the chosen examples out of their corpus.

    Every copy of a chosen text is chosen: a copy that is retained would teach again what is to be forgotten.

    Args:
        corpora: by name.
        choice: of examples of one of them.

    Returns:
        The corpora with what is left in place of the corpus (nothing, where all of it is chosen); the chosen examples,
        or None where the choice is wrong; and what is wrong with it.
    """
    whole = corpora[choice.corpus]
    if taken := {choice.chosen, choice.rest} & set(corpora):
        return dict(corpora), None, [
            f"{choice.option}: the corpus {sorted(taken)[0]!r} has the name that a part of {choice.corpus!r} gets; "
            "rename it"
        ]  # fmt: skip
    hashes = whole.content_hashes(np.arange(len(whole))).to_numpy(zero_copy_only=False).astype(str)
    known, rows = set(hashes.tolist()), [int(i) for i in choice.ids if not CONTENT_HASH.fullmatch(i)]
    wanted = {i for i in choice.ids if CONTENT_HASH.fullmatch(i)}
    missing = sorted(wanted - known) + [f"row {row}" for row in sorted(set(rows)) if row >= len(whole)]
    if missing:
        more = f" and {len(missing) - NAMED_AT_MOST} more" if len(missing) > NAMED_AT_MOST else ""
        return dict(corpora), None, [
            f"{choice.option}: {choice.corpus} has {counted(len(whole), 'example')} and none of them is "
            f"{', '.join(missing[:NAMED_AT_MOST])}{more}; give content hashes of its examples, or row numbers from 0 "
            f"to {len(whole) - 1}"
        ]  # fmt: skip
    wanted |= {str(hashes[row]) for row in rows}
    if not wanted:
        return dict(corpora), None, [f"{choice.option}: chooses no example of {choice.corpus}; choose at least one"]
    is_chosen = np.isin(hashes, sorted(wanted))
    chosen = SomeExamples(whole, np.flatnonzero(is_chosen), choice.chosen)
    parts: dict[str, TokenizedDataset] = {}
    for name, dataset in corpora.items():
        if name != choice.corpus:
            parts[name] = dataset
        elif not is_chosen.all():
            parts[choice.rest] = SomeExamples(whole, np.flatnonzero(~is_chosen), choice.rest)
    return parts, chosen, []


def choice_notes(choice: ForgetChoice, chosen: TokenizedDataset) -> list[str]:
    """What was chosen, and what stays, a sentence each."""
    assert isinstance(chosen, SomeExamples)
    rest = len(chosen.whole) - len(chosen)
    role = "forget set" if choice.of_forget else "corpus"
    stays = f"its other {counted(rest, 'example')} stay a {role}, {choice.rest}" if rest else "no example of it is left"
    found = [f"{choice.chosen}: {counted(len(chosen), 'example')} of {choice.corpus} are forgotten; {stays}"]
    if copies := len(chosen) - len(chosen.distinct_hashes()):
        found.append(f"{choice.chosen}: {copies} of these repeat a chosen text; every copy of it is forgotten")
    return found
