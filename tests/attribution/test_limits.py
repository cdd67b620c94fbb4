"""What one step of unlearning must tend to: closed forms from the gradients, computed here without the package's loop.

GPT-2 in float64, because Llama's norms compute in float32 whatever the weights are.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lightning_untrac import LanguageModule

LR = 1e-6


def gradient(module: LanguageModule, examples: Any) -> list[torch.Tensor]:
    """Gradient of a dataset's mean token loss, example by example, in float64."""
    assert module.model is not None
    module.model.zero_grad()
    total_tokens = 0
    for index in range(len(examples)):
        ids = torch.tensor(examples[index]["input_ids"].tolist())[None]
        log_probabilities = module.model(input_ids=ids).logits.log_softmax(-1)
        loss = -log_probabilities[0, torch.arange(ids.shape[1] - 1), ids[0, 1:]].sum()
        loss.backward()
        total_tokens += ids.shape[1] - 1
    return [p.grad / total_tokens for p in module.model.parameters() if p.grad is not None]


@pytest.fixture
def gradients(model_folders: Any, make_data: Any) -> dict[str, list[torch.Tensor]]:
    module = LanguageModule(model_folders("gpt2", "float64"), dtype="float64", dropout=False)
    module.configure_model()
    data = make_data()
    data.prepare(module)
    return {name: gradient(module, d) for name, d in {**data.tokenized_corpora, **data.tokenized_test_sets}.items()}


def product(left: list[torch.Tensor], right: list[torch.Tensor]) -> float:
    return sum((a * b).sum().item() for a, b in zip(left, right, strict=True))


def one_step(trace: Any, make_data: Any, optimizer: Any, kind: str = "each_corpus") -> dict[tuple[str, str], float]:
    data = make_data(batch_size=1000)  # every batch is a whole dataset
    final, _, _ = trace(kind, data=data, architecture="gpt2", dtype="float64", optimizer=optimizer, steps=1)
    return final


def test_sgd_tends_to_the_product_of_gradients(trace: Any, make_data: Any, gradients: Any) -> None:
    final = one_step(trace, make_data, lambda p: torch.optim.SGD(p, lr=LR))
    for (corpus, test_set), influence in final.items():
        assert influence / LR == pytest.approx(product(gradients[corpus], gradients[test_set]), rel=1e-3, abs=1e-6)


def test_untrac_and_its_inverse_agree_to_first_order(trace: Any, make_data: Any) -> None:
    differences = []
    for lr in (1e-2, 1e-3):
        direct = one_step(trace, make_data, lambda p, lr=lr: torch.optim.SGD(p, lr=lr))
        inverse = one_step(trace, make_data, lambda p, lr=lr: torch.optim.SGD(p, lr=lr), "each_test_set")
        assert direct.keys() == inverse.keys()
        differences.append(max(abs(direct[key] - inverse[key]) / lr for key in direct))
    assert differences[1] < 0.15 * differences[0]  # O(lr): a tenth of the step, a tenth of the difference


def test_adam_tends_to_the_sign_of_the_gradient(trace: Any, make_data: Any, gradients: Any) -> None:
    lr = 1e-8
    final = one_step(trace, make_data, lambda p: torch.optim.Adam(p, lr=lr, eps=1e-30))
    for (corpus, test_set), influence in final.items():
        expected = product([g.sign() for g in gradients[corpus]], gradients[test_set])
        assert influence / lr == pytest.approx(expected, rel=1e-2, abs=1e-3)


class PreconditionedSGD(torch.optim.SGD):
    """A step of ``lr * F^-1 g`` with a fixed diagonal F, as one-step Fisher unlearning takes it."""

    def __init__(self, parameters: Any, fisher: list[torch.Tensor], lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.fisher = fisher

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        loss = closure()
        with torch.no_grad():
            for parameter, fisher in zip(self.param_groups[0]["params"], self.fisher, strict=True):
                parameter -= self.param_groups[0]["lr"] * parameter.grad / fisher
        return loss


def test_fisher_step_tends_to_its_closed_form_and_is_symmetric(trace: Any, make_data: Any, gradients: Any) -> None:
    damping = 1e-2
    fisher = [
        sum(g**2 for g in gs) / 3 + damping
        for gs in zip(*(gradients[c] for c in ("birds", "ships", "bread")), strict=True)
    ]
    direct = one_step(trace, make_data, lambda p: PreconditionedSGD(p, fisher, lr=LR))
    inverse = one_step(trace, make_data, lambda p: PreconditionedSGD(p, fisher, lr=LR), "each_test_set")
    for (corpus, test_set), influence in direct.items():
        expected = product([g / f for g, f in zip(gradients[corpus], fisher, strict=True)], gradients[test_set])
        assert influence / LR == pytest.approx(expected, rel=1e-2, abs=1e-3)
        assert inverse[corpus, test_set] / LR == pytest.approx(expected, rel=1e-2, abs=1e-3)
