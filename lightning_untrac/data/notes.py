"""What of the datasets was left out, cut, repeated or shared, a sentence each, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_untrac.data.forget_set import choice_notes
from lightning_untrac.data.preparation import Facts, dataset_notes, document_start_notes, share_notes
from lightning_untrac.data.prepared import PreparedDataModule
from lightning_untrac.data.shared_texts import role_notes, shared_text_notes
from lightning_untrac.data.unknown_tokens import unknown_tokens_note
from lightning_untrac.naming import self_name


def data_notes(
    data: PreparedDataModule, facts: Facts | None, sizes: Mapping[str, int], shares: Sequence[float] | None
) -> list[str]:
    """All notes on prepared datasets.

    Args:
        data: the datasets.
        facts: of the model that they are prepared for.
        sizes: examples or blocks of each corpus, as they are trained on.
        shares: of the corpora in the mixture, where they have any.
    """
    found = []
    for dataset in data.tokenized.values():
        found += dataset_notes(dataset, data.max_length)
        if facts is not None and (unknown := unknown_tokens_note(dataset.name, dataset, facts.tokenizer)) is not None:
            found.append(unknown)
    if data.choice is not None and data.choice.chosen in data.tokenized_forget:
        found += choice_notes(data.choice, data.tokenized_forget[data.choice.chosen])
    if shares:
        found += share_notes(sizes, shares)
    by_design = {self_name(name) for name in data.tokenized_corpora} if data.self_examples is not None else set()
    test_sets = [dataset for name, dataset in data.tokenized_test_sets.items() if name not in by_design]
    found += shared_text_notes([*data.tokenized_corpora.values()], test_sets)
    found += role_notes(data.by_role())
    if facts is not None:
        found += document_start_notes(facts, [one.config for one in data.tokenized.values()], data.document_start)
        if data.block_size is not None and facts.targets_apart:
            what = "a classifier" if facts.task.classifies else "an encoder-decoder model"
            found.append(f"data.block_size: not used, because {what} takes examples and not blocks")
    return found
