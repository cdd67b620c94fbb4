"""What an influence must not depend on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

CLOSE = {"rel": 1e-4, "abs": 2e-6}
"""float32 sums taken in another order."""


def test_a_corpus_scores_the_same_alone_and_in_any_company_and_order(trace: Any, make_data: Any) -> None:
    together, _, _ = trace(data=make_data(batch_size=4))
    reordered, _, _ = trace(data=make_data(("bread", "birds", "ships"), ("ask-ships", "ask-birds"), batch_size=4))
    assert reordered == together
    for corpus in ("birds", "ships"):
        alone, _, _ = trace(data=make_data((corpus,), batch_size=4))
        assert alone == {key: value for key, value in together.items() if key[0] == corpus}


@pytest.mark.parametrize("kind", ["continuation", "leave_one_out"])
def test_the_order_in_which_corpora_are_listed_changes_nothing_in_a_mixture(
    trace: Any, make_data: Any, kind: str
) -> None:
    listed, _, _ = trace(kind, data=make_data(("birds", "ships", "bread"), batch_size=4), steps=3)
    reordered, _, _ = trace(kind, data=make_data(("ships", "bread", "birds"), batch_size=4), steps=3)
    assert reordered == listed


def test_two_copies_of_a_corpus_score_the_same(trace: Any, make_data: Any) -> None:
    final, _, _ = trace(data=make_data(("birds", "copy=birds", "ships"), batch_size=4))
    for test_set in ("ask-birds", "ask-ships"):
        assert final["copy", test_set] == final["birds", test_set]
    assert final["ships", "ask-birds"] != final["birds", "ask-birds"]


@pytest.mark.parametrize("kind", ["each_corpus", "each_test_set"])
def test_the_same_effective_batch_gives_the_same_influence(trace: Any, make_data: Any, kind: str) -> None:
    whole, _, _ = trace(kind, data=make_data(batch_size=8))
    for batch_size, accumulation in ((4, 2), (2, 4), (1, 8)):
        cut, _, _ = trace(kind, data=make_data(batch_size=batch_size), accumulate_grad_batches=accumulation)
        for key, influence in whole.items():
            assert cut[key] == pytest.approx(influence, **CLOSE)


def test_readings_do_not_depend_on_their_batch_size(trace: Any, make_data: Any) -> None:
    first, _, _ = trace(data=make_data(batch_size=4, eval_batch_size=1))
    second, _, _ = trace(data=make_data(batch_size=4, eval_batch_size=7))
    for key, influence in first.items():
        assert second[key] == pytest.approx(influence, **CLOSE)


def test_readings_on_the_way_change_nothing(trace: Any, make_data: Any) -> None:
    once, _, _ = trace(steps=4, readings=1)
    often, rows, _ = trace(steps=4, readings=4)
    assert often == once
    assert sorted({row.step for row in rows}) == [1, 2, 3, 4]


def test_seeds_are_independent_of_each_other(trace: Any) -> None:
    _, both, _ = trace(seeds=(0, 1))
    _, second, _ = trace(seeds=(1,))
    strip = lambda rows: [(r.corpus, r.test_set, r.step, r.influence) for r in rows]  # noqa: E731
    assert strip([r for r in both if r.seed == 1]) == strip(second)
    assert strip([r for r in both if r.seed == 0]) != strip(second)


def test_a_plain_loop_gives_the_same_influences(trace: Any, make_data: Any, model_folders: Any) -> None:
    """The whole machine against twenty lines of PyTorch."""
    from transformers import AutoModelForCausalLM

    final, _, module = trace(data=make_data(batch_size=4), steps=3)
    data = make_data(batch_size=4)
    data.prepare(module)

    def loss(model: Any, examples: Any, indices: Any) -> torch.Tensor:
        total, count = torch.zeros(()), 0
        for index in indices:
            ids = torch.tensor(examples[index]["input_ids"].tolist())[None]
            logits = model(input_ids=ids).logits[0, :-1]
            total = total + torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
            count += ids.shape[1] - 1
        return total / count

    from lightning_untrac.data.sampling import EpisodeBatchSampler

    for corpus, examples in data.tokenized_corpora.items():
        model = AutoModelForCausalLM.from_pretrained(model_folders())
        before = {n: loss(model, d, range(len(d))).item() for n, d in data.tokenized_test_sets.items()}
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for batch in EpisodeBatchSampler([len(examples)], batch_size=4, steps=3, seed=0):
            optimizer.zero_grad()
            (-loss(model, examples, batch)).backward()
            optimizer.step()
        for test_set, d in data.tokenized_test_sets.items():
            influence = loss(model, d, range(len(d))).item() - before[test_set]
            assert final[corpus, test_set] == pytest.approx(influence, rel=1e-3, abs=1e-5)
