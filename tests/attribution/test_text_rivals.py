"""Rivals that compare texts: BM25, token overlap, the model's own hidden states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Evaluation
from lightning_untrac.attribution import METHODS
from lightning_untrac.attribution.methods.bm25 import BM25
from lightning_untrac.attribution.methods.embedding import Embedding
from lightning_untrac.attribution.methods.token_overlap import TokenOverlap
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.functional import IGNORE_INDEX, shift_labels_left
from lightning_untrac.functional.overlap import bhattacharyya, ngram_frequencies


@pytest.fixture
def scoring_run(make_data: Callable[..., Any], model_folders: Callable[..., str], tmp_path: Path) -> Callable[..., Any]:
    """What a rival may use, on a tiny model and corpora."""

    def make(
        architecture: str = "llama", max_examples: int | None = None, data: Any = None, **options: Any
    ) -> ScoringRun:
        data = data or make_data(plan=EpisodePlan("each_corpus"), **options)
        data.prepare(Evaluation(model_folders(architecture)))
        return ScoringRun(
            tmp_path,
            lambda: Evaluation(model_folders(architecture)),
            lambda **arguments: L.Trainer(
                accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, **arguments
            ),
            data,
            max_examples=max_examples,
        )

    return make


def assert_same_topic_first(scores: np.ndarray) -> None:
    """Corpora birds, ships, bread; test sets about birds and about ships."""
    assert scores.shape == (3, 2)
    assert scores.dtype == np.float64
    assert scores.argmax(axis=0).tolist() == [0, 1]


class TestTokenOverlap:
    @staticmethod
    def slowly(left: list[list[int]], right: list[list[int]], n: int) -> float:
        counts = []
        for documents in (left, right):
            grams: Counter[tuple[int, ...]] = Counter()
            for d in documents:
                grams.update(tuple(d[i : i + n]) for i in range(len(d) - n + 1))
            counts.append(grams)
        a, b = counts
        if not a or not b:
            return 0.0
        return sum((a[g] / a.total() * b[g] / b.total()) ** 0.5 for g in a)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_equals_counting_with_dictionaries(self, n: int) -> None:
        generator = np.random.default_rng(n)
        texts = [[generator.integers(0, 6, size=k).tolist() for k in (0, 1, 2, 3, 9, 30)] for _ in range(2)]
        tables = [ngram_frequencies([np.array(d, dtype=np.int32) for d in text], n) for text in texts]
        assert bhattacharyya(*tables) == pytest.approx(self.slowly(texts[0], texts[1], n), abs=1e-12)

    def test_does_not_go_across_documents(self) -> None:
        apart = ngram_frequencies([np.array([1]), np.array([2])], 2)
        together = ngram_frequencies([np.array([1, 2])], 2)
        assert bhattacharyya(apart, together) == 0

    def test_of_equal_texts_is_one(self) -> None:
        table = ngram_frequencies([np.arange(50) % 7], 3)
        assert bhattacharyya(table, table) == pytest.approx(1)

    def test_refuses_token_ids_that_do_not_fit(self) -> None:
        with pytest.raises(ValueError, match="use shorter n-grams"):
            ngram_frequencies([np.array([1 << 21])], 3)

    def test_scores(self, scoring_run: Callable[..., Any]) -> None:
        run = scoring_run()
        scores = TokenOverlap().scores(run)
        assert_same_topic_first(scores)
        texts = {
            name: [dataset[i]["input_ids"].tolist() for i in range(len(dataset))]
            for name, dataset in {**run.data.tokenized_corpora, **run.data.tokenized_test_sets}.items()
        }
        expected = np.mean([self.slowly(texts["ships"], texts["ask-birds"], n) for n in (1, 2, 3)])
        assert scores[1, 0] == pytest.approx(expected, abs=1e-12)

    def test_reads_no_more_than_it_may(self, scoring_run: Callable[..., Any]) -> None:
        assert not np.allclose(TokenOverlap().scores(scoring_run(max_examples=2)), TokenOverlap().scores(scoring_run()))


class TestBM25:
    def test_ranks_the_same_topic_first(self, scoring_run: Callable[..., Any]) -> None:
        pytest.importorskip("bm25s")
        assert_same_topic_first(BM25().scores(scoring_run()))

    def test_is_the_mean_over_queries_and_documents(self, scoring_run: Callable[..., Any]) -> None:
        bm25s = pytest.importorskip("bm25s")
        run = scoring_run()
        tokenizer = run.build_module().tokenizer
        words = {
            name: [
                tokenizer.decode(dataset[i]["input_ids"], skip_special_tokens=True).split() for i in range(len(dataset))
            ]
            for name, dataset in {**run.data.tokenized_corpora, **run.data.tokenized_test_sets}.items()
        }
        documents = [document for name in run.data.corpus_names for document in words[name]]
        index = bm25s.BM25(method="lucene")
        index.index(documents, show_progress=False)
        each = np.array([index.get_scores(query) for query in words["ask-ships"]])
        start = len(words["birds"])
        expected = each[:, start : start + len(words["ships"])].mean()
        assert BM25().scores(run)[1, 1] == pytest.approx(expected, rel=1e-5)


class TestEmbedding:
    @pytest.mark.parametrize("architecture", ["llama", "gpt2"])
    def test_equals_the_models_own_hidden_states(self, scoring_run: Callable[..., Any], architecture: str) -> None:
        run = scoring_run(architecture)
        module = run.build_module()
        module.configure_model()
        means = []
        for name in [*run.data.corpus_names, *run.data.test_set_names]:
            rows, dataset = [], run.data.training_examples(name)
            for i in range(len(dataset)):
                ids = torch.tensor(dataset[i]["input_ids"].tolist())[None]
                labels = shift_labels_left(torch.tensor(dataset[i]["labels"].tolist())[None])
                with torch.no_grad():
                    hidden = module.model.eval()(ids, output_hidden_states=True).hidden_states[-1]
                rows.append(hidden[labels != IGNORE_INDEX])
            means.append(torch.cat(rows).double().mean(dim=0).numpy())
        centred = np.array(means) - np.mean(means[:3], axis=0)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        np.testing.assert_allclose(Embedding().scores(run), centred[:3] @ centred[3:].T, atol=1e-4)

    def test_does_not_depend_on_the_batch_size(self, scoring_run: Callable[..., Any]) -> None:
        one, many = (Embedding().scores(scoring_run(eval_batch_size=size)) for size in (1, 7))
        np.testing.assert_allclose(one, many, atol=1e-4)

    def test_of_an_encoder_decoder(
        self, scoring_run: Callable[..., Any], pair_files: dict[str, Path], cache_folder: str
    ) -> None:
        def datasets(*names: str) -> list[DatasetConfig]:
            return [DatasetConfig(path=str(pair_files[n]), name=n, prompt="prompt", target="target") for n in names]

        data = CorpusDataModule(
            datasets("birds", "ships"),
            datasets("ask-birds"),
            cache_folder=cache_folder,
            plan=EpisodePlan("each_corpus"),
        )
        scores = Embedding().scores(scoring_run("t5", data=data, max_examples=3))
        assert scores[0, 0] == pytest.approx(-scores[1, 0])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_untrac.attribution.scoring.find_spec", lambda name: None)
    for method, extra in (("bm25", "text"), ("ekfac", "influence"), ("kfac", "influence")):
        (problem,) = METHODS[method]().problems()
        assert f"pip install 'lightning-untrac[{extra}]'" in problem
        assert str(METHODS[method].package) in problem
    assert METHODS["token_overlap"]().problems() == []
