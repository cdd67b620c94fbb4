"""Which datasets hold the same texts, by the hashes of their examples: what one is given, the other could be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from lightning_untrac.data.tokenized import TokenizedDataset

LEAST_SHARE = 0.1
"""From this part of the smaller dataset's texts on, what two share is told (of a corpus and a test set: the test
set's)."""

MAX_NOTES = 10


def shared_text_notes(corpora: Sequence[TokenizedDataset], test_sets: Sequence[TokenizedDataset]) -> list[str]:
    """Pairs of corpora, and of a corpus and a test set, that hold the same texts, a sentence each, the worst first.

    Texts count once however often a dataset repeats them, and are equal where every character is. The time is linear in
    the number of examples.

    Args:
        corpora: tokenised.
        test_sets: tokenised; without those that were made of the corpora on purpose.
    """
    datasets = [*corpora, *test_sets]
    if len(datasets) < 2:
        return []
    sizes, shared = _counts(datasets)
    found: list[tuple[float, str]] = []
    for first in range(len(corpora)):
        for second in range(first + 1, len(datasets)):
            count, is_test_set = int(shared[first, second]), second >= len(corpora)
            share = count / (sizes[second] if is_test_set else min(sizes[first], sizes[second]))
            if share < LEAST_SHARE:
                continue
            same = count == sizes[first] == sizes[second]
            names = datasets[first].name, datasets[second].name
            say = _with_test_set if is_test_set else _of_corpora
            found.append((share, say(*names, count, sizes[first], sizes[second], same)))
    found.sort(key=lambda pair: -pair[0])
    notes = [note for _, note in found[:MAX_NOTES]]
    if len(found) > MAX_NOTES:
        notes.append(
            f"{len(found) - MAX_NOTES} more pairs of datasets share at least a tenth of the smaller one's texts"
        )
    return notes


def role_notes(datasets: Mapping[str, Sequence[TokenizedDataset]]) -> list[str]:
    """Texts of a holdout, or of a forget set, that stand where they should not, a sentence each.

    Args:
        datasets: by role, see ``PreparedDataModule.by_role``.
    """
    found = []
    forget, holdout = datasets["forget set"], datasets["holdout"]
    for role, beside, others in (
        ("holdout", holdout, [*datasets["corpus"], *forget]),
        ("forget set", forget, datasets["corpus"]),
    ):
        for one, other in product(beside, others):
            (_, of_one), shared = _counts([other, one])
            if count := int(shared[0, 1]):
                all_of = f"all {count}" if count == of_one else f"{count} of its {of_one}"
                says = f"{role} {one.name} has {all_of} texts in common with {other.name}"
                found.append(f"{says}: {_CONSEQUENCE[role]}")
    return found


def kept_texts_note(forget: TokenizedDataset, kept: Sequence[TokenizedDataset]) -> str | None:
    """That texts which are to be forgotten stand in what is kept too, with how many; None where none do.

    Args:
        forget: the forget set.
        kept: the corpora that stay.
    """
    (of_forget, *_), shared = _counts([forget, *kept])
    where = [f"{count} in {one.name}" for one, count in zip(kept, shared[0, 1:].tolist(), strict=True) if count]
    if not where:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    elsewhere = pa.concat_arrays([one.distinct_hashes() for one in kept])
    held = pc.sum(pc.is_in(forget.distinct_hashes(), value_set=elsewhere)).as_py()
    return (
        f"{held} of the {_texts(of_forget)} of {forget.name} {'stands' if held == 1 else 'stand'} in corpora that stay "
        f"({', '.join(where)}): training on those teaches again what is to be forgotten; take them out there"
    )


def repeated_texts_note(forget: TokenizedDataset) -> str | None:
    """That texts stand in a forget set more than once, with how many copies; None where none does.

    Args:
        forget: the forget set.
    """
    copies = len(forget) - len(forget.distinct_hashes())
    if not copies:
        return None
    are = "is a copy" if copies == 1 else "are copies"
    return (
        f"{copies} of the {len(forget)} texts of {forget.name} {are} of others there, and each copy counts by itself "
        "in steps and means; take them out, or mean it so"
    )


_CONSEQUENCE = {
    "holdout": "a holdout shows the level of text that was never trained on, and these are no such texts",
    "forget set": "a retain term that reads that corpus teaches again what is to be forgotten",
}


def _counts(datasets: Sequence[TokenizedDataset]) -> tuple[list[int], np.ndarray]:
    """Different texts of each dataset, and of each pair those that both hold."""
    import pyarrow as pa
    from scipy.sparse import csr_array

    hashes = [dataset.distinct_hashes() for dataset in datasets]
    sizes = [len(each) for each in hashes]
    texts = pa.concat_arrays(hashes).dictionary_encode()
    holders = np.repeat(np.arange(len(datasets)), sizes)
    codes = texts.indices.to_numpy()
    shape = (len(datasets), len(texts.dictionary))
    holds = csr_array((np.ones(len(codes), dtype=np.int64), (holders, codes)), shape=shape)
    return sizes, (holds @ holds.T).toarray()


def _of_corpora(first: str, second: str, count: int, of_first: int, of_second: int, same: bool) -> str:
    what = (
        f"corpora {first} and {second} hold the same {_texts(count)}"
        if same
        else f"corpora {first} and {second} share {_texts(count)} ({count / of_first:.0%} of {first}'s, "
        f"{count / of_second:.0%} of {second}'s)"
    )
    return f"{what}: unlearning one unlearns the other, and training without one keeps what they share"


def _with_test_set(corpus: str, test_set: str, count: int, _: int, of_test_set: int, same: bool) -> str:
    what = (
        f"test set {test_set} and corpus {corpus} hold the same {_texts(count)}"
        if same
        else f"test set {test_set} has {count} of its {_texts(of_test_set)} in common with corpus {corpus}"
    )
    return f"{what}: there it shows what was memorised, and no behaviour that could come from anywhere else"


def _texts(count: int) -> str:
    return f"{count} {'text' if count == 1 else 'texts'}"
