"""What one named dataset is: where it comes from and which of its fields are trained on."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lightning_untrac.data.choices import choice_problems
from lightning_untrac.data.coin_flip import CoinFlip
from lightning_untrac.data.hub_copies import hub_only_problems
from lightning_untrac.data.label_columns import label_column_problems
from lightning_untrac.data.other_answers import other_answer_problems
from lightning_untrac.data.transforms import TRANSFORMS

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names become columns, file names and W&B keys, so they keep to letters, digits, dot, dash and underscore."""

REFUSALS: Final = "builtin:refusals"
"""Stands for a list of refusals that ships, in place of a column with other answers."""

SAMPLES: Final = "model:samples"
"""Stands for continuations of the model's own, which are drawn before the first step."""

CHOSEN: Final = ("-chosen", "-rest")
"""Endings of the names of a corpus' parts where some of its examples were chosen to be forgotten."""


@dataclass
class DatasetConfig:
    """One named dataset (or several, with ``split_by``).

    Give one of ``text`` (every token is a target), ``prompt`` and ``target`` (only the target's tokens are) and
    ``messages`` (only the assistant's turns are). For a classifier give ``text`` and ``label``, or ``tokens`` and
    ``tags``; columns of these names are read where none is given.

    Attributes:
        name: what the dataset is called in tables, plots and logs; with ``split_by``, the prefix of the names.
        path: a local file (.jsonl, .json, .csv, .tsv, .parquet, .txt, also .gz), a folder of such files, a folder made
            by ``save_to_disk``, a glob pattern, a hub id such as ``EleutherAI/pile``, a folder that is a copy of a hub
            dataset (its README.md names ``configs``), or ``builtin:NAME``.
        subset: the hub dataset's configuration name.
        split: the hub dataset's (or ``save_to_disk`` dictionary's) split; plain files have none.
        revision: the hub dataset's revision: pin it to be reproducible.
        text: column with the text. Ignored where ``prompt`` and ``target`` or ``messages`` are given.
        prompt: column with the prompt, on which no loss is taken.
        target: column with the target.
        alternative: column with another answer to the prompt, for objectives that prefer it to the target; or
            ``builtin:refusals``, a sentence such as "I don't know." for each example, by its text and ``sample_seed``.
        wrong_answers: column with lists of wrong answers to the prompt (TOFU's ``perturbed_answer``), for measures.
        paraphrased_answer: column with the target in other words, which such measures then read in its place.
        choices: column with what can be chosen, a list; ``target`` is then the column of the right choice (its number
            from 0, its text or its letter). The prompt has lettered choices then, and other letters are wrong answers.
        separator: what stands between prompt and target for causal models; part of the target.
        messages: column with conversations, each a list of messages with ``role`` and ``content`` (or the same as JSON
            text); the tokenizer's chat template makes one text of each.
        tools: column with the tools of each conversation, a list of JSON schemas, for templates that write them.
        label: column with the class of each text, by its name or its number.
        tokens: column with the words of each text, a list.
        tags: column with the class of each word, a list; -100 for a word without one.
        where: keep only the rows whose columns have these values, e.g. ``{dataset: dataset1}``; compared as text, and
            as numbers where both are numbers (1 and 1.0 are equal).
        split_by: make one dataset of each value of this column, named after it (``NAME-value`` where a name is given).
        transform: a named preprocessing of well-known suites: see ``lightning_untrac.data.transforms``.
        sample_by: what one example of a plain text file is.
        num_examples: keep this many examples (of each dataset that ``split_by`` makes), drawn once with
            ``sample_seed``; all of them where there are fewer, which is reported (no example is ever repeated). A
            built-in dataset is generated at this size.
        sample_seed: seed of that draw.
        copies: how many times each example stands in training: a whole number, or the column that holds one for each.
            Whatever is read or unlearned is read or unlearned once.
        group: column whose value ``measurements.parquet`` has beside each example, or a list of columns.
        share: part of the training mixture that this corpus makes up; all corpora have one or none has. Without
            shares the mixture is the concatenation, so that a corpus' share is its size.
        coin_flip: each example enters with probability 1/2: ``{seed: 7, side: in}`` of a corpus keeps those that enter,
            and the same entry with ``side: out`` as a holdout (``twins_of`` the corpus) those that stay out. Coins are
            of the ``num_examples`` that were drawn.
        twins_of: of a holdout, the datasets whose unseen twins its texts are: of the same kind and length, and never
            trained on. A dataset without twins of its own is held against the holdouts that are nobody's.
    """

    path: str
    name: str | None = None
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    text: str = "text"
    prompt: str | None = None
    target: str | None = None
    alternative: str | None = None
    wrong_answers: str | None = None
    paraphrased_answer: str | None = None
    choices: str | None = None
    separator: str = " "
    messages: str | None = None
    tools: str | None = None
    label: str | None = None
    tokens: str | None = None
    tags: str | None = None
    where: dict[str, str | int | float | bool] | None = None
    split_by: str | None = None
    transform: str | None = None
    sample_by: Literal["line", "paragraph", "document"] = "line"
    num_examples: int | None = None
    sample_seed: int = 0
    copies: int | str | None = None
    group: str | list[str] | None = None
    share: float | None = None
    twins_of: str | list[str] | None = None
    coin_flip: CoinFlip | None = None

    @property
    def twinned(self) -> list[str]:
        """Names of the datasets whose unseen twins its texts are."""
        return as_names(self.twins_of)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold the examples."""
        if self.messages:
            return (self.messages, self.tools) if self.tools else (self.messages,)
        if self.prompt and self.target:
            named = self.alternative is not None and self.alternative != REFUSALS
            return (self.prompt, self.target, str(self.alternative)) if named else (self.prompt, self.target)
        if self.tokens and self.tags:
            return (self.tokens, self.tags)
        return (self.text, self.label) if self.label else (self.text,)

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns that say which group an example belongs to."""
        return tuple([self.group] if isinstance(self.group, str) else self.group or ())

    def problems(self, role: str) -> list[str]:
        """What is wrong with this entry on its own.

        Args:
            role: where the entry stands, e.g. ``corpora[2]``; begins each sentence.
        """
        found = []
        label = f"{role} ({self.name})" if self.name else role
        if self.name is None and self.split_by is None:
            found.append(f"{label}: has no name; give `name: ...` (only `split_by` makes names by itself)")
        if self.name is not None and not NAME_PATTERN.fullmatch(self.name):
            found.append(
                f"{role}: name {self.name!r} can't be a file name; use letters, digits, '.', '-' and '_' (100 at most, "
                "beginning with a letter or digit)"
            )
        found += [f"{label}: {problem}" for problem in self._column_problems()]
        if self.num_examples is not None and self.num_examples < 1:
            found.append(f"{label}: num_examples is {self.num_examples}; give at least 1, or leave it out for all")
        if not self.path:
            found.append(f"{label}: path is empty; give a file, a folder, a hub id or builtin:NAME")
        of_hub = [name for name in ("split", "subset", "revision") if getattr(self, name, None) not in (None, "train")]
        found += [f"{label}: {problem}" for problem in hub_only_problems(self.path, of_hub)]
        if self.sample_seed < 0:
            found.append(f"{label}: sample_seed is {self.sample_seed}; give 0 or more")
        if isinstance(self.copies, int) and self.copies < 1:
            found.append(f"{label}: copies is {self.copies}; give at least 1, or the column that holds the numbers")
        if self.share is not None and not 0 < self.share < math.inf:
            found.append(f"{label}: share is {self.share}; give a positive number")
        if self.transform is not None and self.transform not in TRANSFORMS:
            found.append(f"{label}: transform {self.transform!r} is unknown; there are {', '.join(sorted(TRANSFORMS))}")
        return found

    def _column_problems(self) -> list[str]:
        found = []
        if (self.prompt is None) != (self.target is None):
            found.append("give both `prompt` and `target`, or neither (then `text` is read)")
        if self.prompt is not None and self.prompt == self.target:
            found.append(f"`prompt` and `target` are both column {self.prompt!r}; name two columns")
        found += self._alternative_problems() + label_column_problems(self)
        found += other_answer_problems(self) + choice_problems(self)
        if self.tools is not None and self.messages is None:
            found.append("`tools` belong to conversations; give `messages` too")
        if self.messages is None:
            return found
        if self.prompt is not None or self.target is not None:
            found.append("give `messages`, or `prompt` and `target`, not both")
        if self.transform is not None:
            found.append(f"transform {self.transform!r} makes texts of its own; leave `messages` out")
        if self.messages == self.tools:
            found.append(f"`messages` and `tools` are both column {self.tools!r}; name two columns")
        return found

    def _alternative_problems(self) -> list[str]:
        if self.alternative is None:
            return []
        listed = self.alternative.startswith("builtin:")
        found = []
        if listed and self.alternative != REFUSALS:
            found.append(f"`alternative` {self.alternative!r} is unknown; name a column, or {REFUSALS}")
        if None in (self.prompt, self.target) and not (listed and self.transform):
            found.append("`alternative` is another answer to a prompt; give `prompt` and `target` too")
        if self.alternative in (self.prompt, self.target):
            found.append(f"`alternative` is column {self.alternative!r}, as the prompt or the target; name another")
        if self.transform is not None and not listed:
            found.append(f"transform {self.transform!r} makes rows without alternatives; leave one of the two out")
        return found


ROLES = ("corpora", "test_sets", "forget", "holdout")
"""The lists of datasets that a DataModule is given."""


def config_problems(
    corpora: Sequence[DatasetConfig],
    test_sets: Sequence[DatasetConfig],
    forget: Sequence[DatasetConfig] = (),
    holdout: Sequence[DatasetConfig] = (),
) -> list[str]:
    """What is wrong with the lists of datasets, before any file is opened.

    Example:
        >>> config_problems([DatasetConfig("a.txt", name="a")], [DatasetConfig("b.txt", name="a")])
        ["the name 'a' is given 2 times; every corpus and test set needs a name of its own"]
    """
    found = []
    for role, configs in zip(ROLES, (corpora, test_sets, forget, holdout), strict=True):
        for index, config in enumerate(configs):
            found += config.problems(f"{role}[{index}]")
            if config.coin_flip is not None:
                found += [f"{role}[{index}] ({config.name}): {said}" for said in config.coin_flip.problems(role)]
            if config.copies is not None and role != "corpora":
                found.append(
                    f"{role}[{index}] ({config.name}): copies stand in training, and only corpora do; leave out"
                )
    counts = Counter(
        config.name for config in [*corpora, *test_sets, *forget, *holdout] if config.name and not config.split_by
    )
    what = "dataset" if forget or holdout else "corpus and test set"
    found += [
        f"the name {name!r} is given {count} times; every {what} needs a name of its own"
        for name, count in counts.items()
        if count > 1
    ]
    found += _twin_problems(corpora, test_sets, forget, holdout)
    shares = [config.share for config in corpora]
    if any(s is not None for s in shares) and any(s is None for s in shares):
        found.append("corpora: some have a `share` and some have none; give it to all or to none")
    return found


def as_names(names: str | Sequence[str] | None) -> list[str]:
    """One name, several or none as a list."""
    return [names] if isinstance(names, str) else list(names or ())


def unseen_names(name: str, twinned: Mapping[str, Sequence[str]]) -> list[str]:
    """The holdouts that show the level of unseen text for a dataset: its twins, else those that are nobody's.

    Args:
        name: of the dataset. Chosen examples of a corpus have the corpus' twins where they have none of their own.
        twinned: holdout to the names of the datasets whose twins its texts are.

    Example:
        >>> unseen_names("forum-chosen", {"a": ["forum"], "b": []}), unseen_names("news", {"a": ["forum"], "b": []})
        (['a'], ['b'])
    """
    whole = next((name.removesuffix(ending) for ending in CHOSEN if name.endswith(ending)), name)
    for wanted in (name, whole):
        if found := [holdout for holdout, names in twinned.items() if wanted in names and holdout != name]:
            return found
    if name in twinned:  # among texts of its own kind
        return [name]
    return [holdout for holdout, names in twinned.items() if not names]


def _twin_problems(
    corpora: Sequence[DatasetConfig],
    test_sets: Sequence[DatasetConfig],
    forget: Sequence[DatasetConfig],
    holdout: Sequence[DatasetConfig],
) -> list[str]:
    """Twins of nothing, and twins that are no holdout."""
    found = []
    for role, configs in (("corpora", corpora), ("test_sets", test_sets), ("forget", forget)):
        found += [
            f"{role}[{index}] ({config.name}): `twins_of` belongs to a holdout, whose texts were never trained on; "
            "move the entry to `data.holdout`"
            for index, config in enumerate(configs)
            if config.twinned
        ]
    others = [*corpora, *test_sets, *forget]
    if any(config.split_by for config in others):
        return found  # whose names are known once the rows are
    names = [str(config.name) for config in others]
    known = {*names, *(f"{name}{part}" for name in names for part in CHOSEN)}
    for index, config in enumerate(holdout):
        found += [
            f"holdout[{index}] ({config.name}): twins_of names {name!r}, and there is no such dataset; use "
            f"{', '.join(names) or 'the name of one'}"
            for name in config.twinned
            if name not in known
        ]
    return found
