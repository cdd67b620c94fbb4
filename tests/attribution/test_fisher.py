"""One step of Fisher unlearning: its closed form, its size, and that the weights come back."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch

from lightning_untrac import Unlearning
from lightning_untrac.attribution import METHODS
from lightning_untrac.attribution.methods.fisher import Fisher, FisherShare
from lightning_untrac.attribution.methods.fisher_inv import FisherInv
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.errors import UnlearningError

CORPORA, TEST_SETS = ("birds", "ships", "bread"), ("ask-birds", "ask-ships")


class Single:
    """The model by itself: gradients and losses of single examples, in float64."""

    def __init__(self, folder: str) -> None:
        module = Unlearning(folder, dtype="float64")
        module.configure_model()
        self.model = module.model.eval()
        self.parameters = list(self.model.parameters())

    def sums(self, ids: Any) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Loss sum, its flat gradient, and the number of tokens of an example."""
        ids = torch.tensor(ids.tolist())[None]
        loss = torch.nn.functional.cross_entropy(self.model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="sum")
        gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, self.parameters)])
        return loss.detach(), gradient, ids.shape[1] - 1

    def gradient(self, examples: Any) -> torch.Tensor:
        parts = [self.sums(examples[index]["input_ids"]) for index in range(len(examples))]
        return sum(gradient for _, gradient, _ in parts) / sum(tokens for *_, tokens in parts)

    def loss(self, examples: Any) -> float:
        parts = [self.sums(examples[index]["input_ids"]) for index in range(len(examples))]
        return float(sum(loss for loss, *_ in parts) / sum(tokens for *_, tokens in parts))

    def squares(self, examples: Any) -> torch.Tensor:
        parts = [self.sums(examples[index]["input_ids"]) for index in range(len(examples))]
        return sum((gradient / tokens).square() for _, gradient, tokens in parts) / len(parts)

    def move(self, direction: torch.Tensor) -> None:
        with torch.no_grad():
            for parameter, part in zip(
                self.parameters, direction.split([p.numel() for p in self.parameters]), strict=True
            ):
                parameter.add_(part.view_as(parameter))


@pytest.fixture
def world(make_data: Any, model_folders: Any, tmp_path: Any) -> Any:
    """A run on GPT-2 in float64, and gradients and the damped Fisher matrix computed here."""
    folder = model_folders("gpt2", "float64")
    modules = []

    def trainer(**arguments: Any) -> L.Trainer:
        quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
        return L.Trainer(**{**quiet, **arguments, "callbacks": []})

    def build() -> Unlearning:
        modules.append(Unlearning(folder, dtype="float64"))
        return modules[-1]

    data = make_data(eval_batch_size=4)
    data.prepare(Unlearning(folder, dtype="float64"))
    single = Single(folder)
    everything = {**data.tokenized_corpora, **data.tokenized_test_sets}
    tokens = torch.tensor([data.tokenized_corpora[name].num_targets for name in CORPORA], dtype=torch.float64)
    shares = tokens / tokens.sum()
    fisher = sum(share * single.squares(everything[name]) for share, name in zip(shares, CORPORA, strict=True))
    return {
        "run": ScoringRun(tmp_path, build, trainer, data),
        "single": single,
        "data": everything,
        "shares": shares,
        "fisher": fisher + Fisher.damping * fisher.mean(),
        "gradients": {name: single.gradient(examples) for name, examples in everything.items()},
        "modules": modules,
        "folder": folder,
    }


def test_a_small_step_tends_to_the_closed_form(world: Any) -> None:
    class Small(Fisher):
        target = 1e-5

    class SmallInv(FisherInv):
        target = 1e-5

    gradients, fisher = world["gradients"], world["fisher"]
    products = torch.stack([torch.stack([gradients[c] @ (gradients[t] / fisher) for t in TEST_SETS]) for c in CORPORA])
    own = {name: gradient @ (gradient / fisher) for name, gradient in gradients.items()}
    direct = torch.from_numpy(Small().scores(world["run"])) / Small.target
    inverse = torch.from_numpy(SmallInv().scores(world["run"])) / Small.target
    torch.testing.assert_close(direct, products / torch.stack([own[c] for c in CORPORA])[:, None], rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(inverse, products / torch.stack([own[t] for t in TEST_SETS]), rtol=1e-2, atol=1e-3)


def test_the_step_is_really_taken_and_taken_back(world: Any) -> None:
    scores = METHODS["fisher"]().scores(world["run"])
    single, gradient, fisher = world["single"], world["gradients"]["ships"], world["fisher"]
    before = [single.loss(world["data"][name]) for name in (*TEST_SETS, "ships")]
    single.move(Fisher.target / (gradient @ (gradient / fisher)) * gradient / fisher)
    after = [single.loss(world["data"][name]) for name in (*TEST_SETS, "ships")]
    assert scores[1] == pytest.approx([a - b for a, b in zip(after[:2], before[:2], strict=True)], rel=1e-6)
    assert after[2] - before[2] == pytest.approx(Fisher.target, rel=0.3)
    untouched = Single(world["folder"])
    left = list(world["modules"][-1].model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(left, untouched.parameters, strict=True))
    odds = (world["shares"] / (1 - world["shares"])).numpy()
    assert FisherShare().scores(world["run"]) == pytest.approx(odds[:, None] * scores, rel=1e-9)


def test_without_a_gradient_there_is_no_step(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Unlearning, "mean_loss", lambda self, batch: super(Unlearning, self).mean_loss(batch) * 0)
    with pytest.raises(UnlearningError, match=r"mean of the Fisher matrix is 0\.0; expected it to be positive"):
        METHODS["fisher"]().scores(world["run"])
