import numpy as np
import pytest

import lightning_untrac.attribution  # noqa: F401 - its methods say what they are called
from lightning_untrac.tables import InfluenceRow

CORPORA = ("forum", "news", "wiki", "code", "books")
TEST_SETS = ("toxicity", "bias")


def _make_rows(
    methods=("untrac", "leave_out"),
    corpora=CORPORA,
    test_sets=TEST_SETS,
    seeds=(0, 1),
    steps=(4, 8),
    scale=0.1,
    flagged=(),
):
    """Rows in which the first corpus is the strongest; ``flagged`` holds (method, corpus, status)."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(len(corpora), len(test_sets)))
    truth[0] += 4
    statuses = {(method, corpus): status for method, corpus, status in flagged}
    rows = []
    for method in methods:
        for i, corpus in enumerate(corpora):
            for j, test_set in enumerate(test_sets):
                for seed in seeds:
                    value = scale * (truth[i, j] + rng.normal() * 0.2)
                    for step in steps:
                        status = statuses.get((method, corpus), "ok")
                        at = float("nan") if status == "nonfinite" else value * step / steps[-1]
                        rows.append(
                            InfluenceRow(
                                method=method,
                                corpus=corpus,
                                test_set=test_set,
                                seed=seed,
                                step=step,
                                final=step == steps[-1],
                                influence=at,
                                loss_before=2.0,
                                loss_after=2.0 + at,
                                example_loss_before=2.5,
                                example_loss_after=2.5 + at / 2,
                                num_tokens=1000,
                                num_examples=10,
                                seconds=float(rng.random()),
                                status=status,
                            )
                        )
    return rows


@pytest.fixture
def make_rows():
    return _make_rows


@pytest.fixture
def rows():
    return _make_rows()
