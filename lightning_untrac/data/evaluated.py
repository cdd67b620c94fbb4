"""What is known of the datasets that a reading measures."""

from __future__ import annotations

from lightning_untrac.data.coin_flip import two_sides
from lightning_untrac.data.datamodule import CorpusDataModule
from lightning_untrac.data.tokenized import PackedBlocks, TokenizedDataset


def packed(data: CorpusDataModule) -> set[str]:
    """Names of the datasets that are measured block by block."""
    parts = zip(data.evaluation_names, data.evaluation_data().parts, strict=True)
    return {name for name, part in parts if isinstance(part, PackedBlocks)}


def groups(data: CorpusDataModule) -> dict[str, tuple[str, ...] | None]:
    """Of each dataset the group of each example; None where there are none."""
    parts = zip(data.evaluation_names, data.evaluation_data().parts, strict=True)
    return {name: part.marks.groups if isinstance(part, TokenizedDataset) else None for name, part in parts}


def sides(data: CorpusDataModule) -> dict[str, str]:
    """Datasets that a coin flip let into training to those that it kept out, where both are measured by example."""
    return two_sides(part for part in data.evaluation_data().parts if isinstance(part, TokenizedDataset))
