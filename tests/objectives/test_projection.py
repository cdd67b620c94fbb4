"""A projection head of DeepCUT: trained beside the model, begun alike, kept in checkpoints, and never saved."""

from __future__ import annotations

from typing import Any

import every_objective
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from lightning_untrac import Unlearning
from lightning_untrac.objectives import GRU, DeepCUT, Objective, Outputs, RetainLoss, Seen
from lightning_untrac.objectives.projection import ProjectionHead
from lightning_untrac.sharding import whole_weights


def projected() -> Objective:
    return Objective(DeepCUT(views=1, projection=5), [RetainLoss()])


def texts(states: torch.Tensor, classes: list[int]) -> Outputs:
    """Of a classifier of whole texts: one place a text."""
    logits = torch.zeros(len(states), 1, 3, dtype=states.dtype, requires_grad=True)
    return Outputs(logits, torch.tensor(classes)[:, None], hidden_states=(states[:, None] * 0, states[:, None]))


def test_it_is_the_same_loss_behind_a_small_network() -> None:
    random = torch.Generator().manual_seed(0)
    forget, retain = (torch.randn(n, 4, generator=random).requires_grad_() for n in (3, 6))
    term = DeepCUT(views=1, projection=5)
    head = term.own_layers(4)
    assert head is not None
    found = term(Seen(texts(forget, [0, 1, 2]), texts(retain, [0, 1, 2] * 2))).mean
    first, second = head.layers[0], head.layers[2]  # type: ignore[index]
    sides = [(states @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias
             for states in (forget, retain)]  # fmt: skip
    expected = DeepCUT(views=1)(Seen(texts(sides[0], [0, 1, 2]), texts(sides[1], [0, 1, 2] * 2))).mean
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)
    mine = torch.autograd.grad(found, [forget, retain, *head.parameters()])
    theirs = torch.autograd.grad(expected, [forget, retain, *head.parameters()])
    for one, other in zip(mine, theirs, strict=True):
        assert one.any()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_each_episode_begins_with_the_same_weights() -> None:
    head = ProjectionHead(4, 2)
    first = [parameter.clone() for parameter in head.parameters()]
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 1
    moved = list(head.parameters())
    head.begin()
    assert all(now is parameter for now, parameter in zip(head.parameters(), moved, strict=True))  # in place
    assert all(torch.equal(now, before) for now, before in zip(moved, first, strict=True))


def test_two_copies_of_a_corpus_score_the_same(trace: Any, make_data: Any) -> None:
    data = make_data(("birds", "copy=birds", "ships"), batch_size=4)
    final, _, _ = trace(data=data, module_options={"unlearning_objective": projected()})
    plain, _, _ = trace(
        data=make_data(("birds", "copy=birds", "ships"), batch_size=4),
        module_options={"unlearning_objective": Objective(DeepCUT(views=1), [RetainLoss()])},
    )
    for test_set in ("ask-birds", "ask-ships"):
        assert final["copy", test_set] == final["birds", test_set]
        assert final["birds", test_set] != plain["birds", test_set]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_moves_beside_the_model_and_is_no_part_of_it(make_pairs: Any, model_folders: Any, dtype: str) -> None:
    before: list[torch.Tensor] = []

    class Begin(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            before.extend(parameter.detach().clone() for parameter in pl_module.term_layers.parameters())
            known = {id(one) for group in trainer.optimizers[0].param_groups for one in group["params"]}
            assert {id(one) for one in pl_module.term_layers.parameters()} <= known

    module, _ = every_objective.fit(
        make_pairs(batch_size=8, retained_per_example=2), model_folders("gpt2", dtype), projected(),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.5), plan={"steps": 2}, callbacks=[Begin()],
    )  # fmt: skip
    after = list(module.term_layers.parameters())
    assert len(after) == 4
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert {parameter.dtype for parameter in after} == {getattr(torch, dtype)}
    assert module.model is not None
    assert whole_weights(module.model).keys() == module.model.state_dict().keys()  # what is saved
    assert all("term_layers" not in name for name in module.trainable_parameters())
    plain = Unlearning(model_folders("gpt2", dtype), unlearning_objective=DeepCUT(views=1))
    plain.configure_model()
    assert not any("term_layers" in name for name in plain.state_dict())


def test_a_run_that_goes_on_ends_in_the_same_weights(whole_and_resumed: Any) -> None:
    adam = lambda p: torch.optim.Adam(p, lr=1e-3)  # noqa: E731
    before, whole, resumed = whole_and_resumed(projected, adam)
    assert not torch.equal(before, whole)
    assert torch.equal(whole, resumed)
    _, plain, _ = whole_and_resumed(lambda: Objective(DeepCUT(views=1), [RetainLoss()]), adam)
    assert not torch.equal(plain, whole)


def test_what_can_not_be(model_folders: Any) -> None:
    def module(made: Objective) -> Unlearning:
        return Unlearning(model_folders("gpt2"), unlearning_objective=made)

    made = projected()
    made.rectify = GRU()
    assert any("DeepCUT trains layers beside them (projection)" in one for one in module(made).problems())
    sharded = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    assert any(
        "DeepCUT trains layers beside the model" in one for one in module(projected()).strategy_problems(sharded)
    )
    healing = module(projected())
    assert not healing.strategy_problems(DDPStrategy())
    healing.heals = True
    (problem,) = healing.strategy_problems(DDPStrategy())
    assert "have no part in steps that heal" in problem
    assert not healing.strategy_problems(DDPStrategy(find_unused_parameters=True))
    with pytest.raises(ValueError, match=r"DeepCUT\(projection=0\): give a whole number from 1"):
        DeepCUT(projection=0)
