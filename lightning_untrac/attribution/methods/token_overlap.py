"""Token overlap: which corpus has the test set's n-grams."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.texts import documents
from lightning_untrac.functional.overlap import bhattacharyya, ngram_frequencies

LENGTHS = (1, 2, 3)


class TokenOverlap(Scoring):
    """Cosine of the square roots of the token n-gram frequencies (Bhattacharyya), mean of n = 1, 2 and 3.

    Square roots keep the commonest n-grams from deciding alone, and make equal texts score 1 whatever their length.

    * Unit and sign: cosine, 0 (nothing in common) to 1 (the same frequencies); larger = more alike.
    * Cost: no model; a sort of the tokens of each dataset. Memory: about 50 bytes a token of the largest dataset.
    * Needs: nothing beside the core; one process.
    * Source: Bhattacharyya 1943.
    """

    method: ClassVar[str] = "token_overlap"
    title: ClassVar[str] = "Token overlap"
    summary: ClassVar[str] = (
        "Compares how often each corpus and each test set use the same tokens, pairs and triples of tokens; "
        "it looks at no model."
    )
    unit: ClassVar[str] = "cosine"

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        def frequencies(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
            texts = list(documents(run, name))
            return [ngram_frequencies(texts, n) for n in LENGTHS]

        tests = [frequencies(name) for name in run.data.test_set_names]
        rows = []
        for name in run.progress(run.data.corpus_names, "token overlap of the corpora"):
            own = frequencies(name)
            rows.append([np.mean([bhattacharyya(a, b) for a, b in zip(own, test, strict=True)]) for test in tests])
        return np.array(rows, dtype=np.float64)
