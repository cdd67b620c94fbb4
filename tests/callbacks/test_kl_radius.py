from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks import InfluenceLogger, KLRadius

from lightning_untrac import EpisodePlan, PreUnlearningWeights, ReadingSchedule, Unlearning
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.divergence import sampled_kl


class Keep(Callback):
    """Keep the model as it was at the last reading: at the end of a fit the trained weights are put back."""

    model: Any = None

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.model = copy.deepcopy(pl_module.model)


@pytest.fixture
def unlearn(make_data: Any, model_folders: Any) -> Any:
    """Trace until the predictions have moved so far; the callback, the rows, and the module after the last episode."""
    import lightning.pytorch as L

    def run(target: float, steps: int = 40, lr: float = 1e-3, corpora: tuple[str, ...] = ("birds", "ships")) -> Any:
        data = make_data(corpora, batch_size=4, plan=EpisodePlan("each_corpus", steps=steps))
        module = Unlearning(model_folders(), optimizer=lambda p: torch.optim.SGD(p, lr=lr))
        data.prepare(module)
        radius = KLRadius(target, max_examples=8)
        influence = InfluenceLogger(read_at=radius)
        keep = Keep()
        trainer = L.Trainer(
            max_epochs=len(corpora),
            reload_dataloaders_every_n_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[keep, PreUnlearningWeights(), ReadingSchedule(1000), radius, influence],
        )
        trainer.fit(module, datamodule=data)
        return radius, influence.rows, keep.model, data

    return run


def exact_kl(model: Any, start: Any, data: Any, examples: int) -> float:
    total, places = 0.0, 0
    for name in data.corpus_names:
        for batch in data.sample_dataloader(name, examples // len(data.corpus_names)):
            targets, ids = (
                batch["labels"][:, 1:] != -100,
                {k: batch[k] for k in ("input_ids", "attention_mask") if k in batch},
            )
            with torch.no_grad():
                p, q = (m(**ids).logits[:, :-1][targets].log_softmax(-1) for m in (start, model))
            total += float((p.exp() * (p - q)).sum())
            places += len(p)
    return total / places


def test_the_estimate_is_the_divergence(unlearn: Any, model_folders: Any) -> None:
    """The last episode runs to its end here, so that the module is where it was last measured."""
    with pytest.warns(UserWarning, match="not by 9.0"):
        radius, _, model, data = unlearn(9.0, steps=6, lr=0.1, corpora=("birds",))
    start = Unlearning(model_folders())
    start.configure_model()
    expected = exact_kl(model.eval(), start.model.eval(), data, 8)
    assert expected > 1e-3
    assert radius.unreached["birds", 0] ** 2 == pytest.approx(expected, rel=0.1)


def test_the_first_order_influence_follows_the_radius_and_not_the_learning_rate(unlearn: Any) -> None:
    def influences(target: float, lr: float) -> torch.Tensor:
        radius, rows, _, _ = unlearn(target, lr=lr)
        assert not radius.unreached
        return torch.tensor([r.influence for r in rows if r.final], dtype=torch.float64)

    small = influences(1e-6, 0.01)
    assert torch.allclose(small, influences(1e-6, 0.02), rtol=0.1)
    # a divergence grows with the square of the distance
    assert torch.allclose(influences(4e-6, 0.02), 2 * small, rtol=0.1)


def test_the_estimator_is_never_negative_and_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.randn(50, generator=generator).log_softmax(0) for _ in range(2))
    drawn = torch.multinomial(p.exp(), 200_000, replacement=True, generator=generator)
    each = sampled_kl(p[drawn], q[drawn])
    assert (each >= 0).all()
    assert each.mean().item() == pytest.approx((p.exp() * (p - q)).sum().item(), rel=0.03)


@pytest.mark.parametrize("target", [0.0, -1.0, math.inf, math.nan])
def test_a_radius_that_cannot_be(target: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        KLRadius(target)


def test_a_rank_without_examples_is_not_taken_for_one_that_was_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    radius = KLRadius()
    module = SimpleNamespace(device=torch.device("cpu"), without_dropout=nullcontext)
    monkeypatch.setattr(radius, "_predictions", lambda trainer, module: iter(()))
    with pytest.raises(UnlearningError, match="inside an episode"):
        radius.strength(None, module)  # type: ignore[arg-type]
    radius.start(None, module)  # type: ignore[arg-type]
    assert math.isnan(radius.strength(None, module))  # type: ignore[arg-type]
