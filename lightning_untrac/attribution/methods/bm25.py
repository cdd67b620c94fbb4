"""BM25: which corpus' documents a search engine would find for the test set."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.texts import documents, tokenizer_of


class BM25(Scoring):
    """Mean BM25 score of a corpus' documents, over all documents and all test examples as queries.

    The text is decoded and split into lower-case words of two or more characters, without a list of stop words: tokens
    of a byte-level or subword model are no words, and words make the score the same for every model. The mean over
    documents, and not the best few: the best of many documents is better by chance, so a corpus would gain from its
    size alone, whereas every other score here is a mean too.

    * Unit and sign: BM25 score (Lucene's variant, k1 1.5, b 0.75), 0 or more; larger = more of the test set's rare
      words.
    * Cost: no model; seconds for a hundred thousand documents. Memory: one number a distinct word of each document.
    * Needs: the package bm25s; one process.
    * Source: Robertson and Zaragoza 2009; bm25s (Lu 2024); as a baseline of attribution Akyurek et al. 2022.
    """

    method: ClassVar[str] = "bm25"
    title: ClassVar[str] = "BM25"
    summary: ClassVar[str] = (
        "Searches the documents of each corpus with the texts of each test set, and takes the mean BM25 "
        "score; it looks at no model."
    )
    unit: ClassVar[str] = "BM25 score"
    package: ClassVar[str | None] = "bm25s"
    extra: ClassVar[str | None] = "text"

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        import bm25s

        def words(name: str) -> list[list[str]]:
            texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in documents(run, name)]
            return bm25s.tokenize(texts, stopwords=None, return_ids=False, show_progress=False)

        tokenizer = tokenizer_of(run)
        corpora = [words(name) for name in run.data.corpus_names]
        index = bm25s.BM25(k1=1.5, b=0.75, method="lucene", dtype="float64")
        index.index([document for corpus in corpora for document in corpus], show_progress=False)
        ends = np.cumsum([len(corpus) for corpus in corpora])
        columns = []
        for name in run.progress(run.data.test_set_names, "BM25 of the test sets"):
            queries = words(name)
            # A query's score is a sum over its words, so the sum over queries is the score of all their words.
            known = [word for query in queries for word in query if word in index.vocab_dict]
            found = index.get_scores(known) if known else np.zeros(int(ends[-1]))
            parts = np.split(found, ends[:-1])
            columns.append([part.mean() / len(queries) for part in parts])
        return np.array(columns, dtype=np.float64).T
