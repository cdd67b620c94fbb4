"""RMU and its retain term: the values of others, the right layer, targets only, one direction on all ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from lightning_untrac import Unlearning
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.hidden_states import random_direction, state_distance
from lightning_untrac.objectives import RMU, Objective, Outputs, RetainHiddenStates, RetainLoss, Seen
from lightning_untrac.objectives.layers import state_index

STATES = torch.tensor(np.sin(np.arange(12.0)).reshape(3, 4))
BEFORE = torch.tensor(np.cos(np.arange(12.0)).reshape(3, 4))


def test_the_values_are_those_that_others_get() -> None:
    u = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    assert state_distance(STATES, 2 * u / u.norm())[1:].mean().item() == pytest.approx(1.98518302, abs=5e-9)
    assert state_distance(STATES, BEFORE)[1:].mean().item() == pytest.approx(0.90442813, abs=5e-9)


def outputs(states: torch.Tensor, labels: list[int]) -> Outputs:
    """Of a model of two layers; the middle states count by default."""
    targets = torch.tensor([labels])
    logits = torch.zeros(1, len(labels), 5, dtype=torch.float64, requires_grad=True)
    given = states[None].clone().requires_grad_()
    return Outputs(
        logits,
        targets,
        hidden_states=(torch.zeros_like(given), given, torch.zeros_like(given)),
        reference_hidden_states=(BEFORE[None] * 0, BEFORE[None], BEFORE[None] * 0),
    )


@pytest.mark.parametrize("term", [RMU(coefficient=2.0), RetainHiddenStates()])
def test_prompts_and_padding_never_count(term: Any) -> None:
    one = outputs(STATES, [-100, 2, 3])
    noise = torch.full((2, 4), 9.0, dtype=torch.float64)
    prompt = STATES.clone()
    prompt[0] = -7
    value = term(Seen(one, retain=one))
    aim = 2 * random_direction(4, 0) if isinstance(term, RMU) else BEFORE
    expected = (STATES - aim).square().mean(-1)[1:].mean().item()
    assert value.mean.item() == pytest.approx(expected, abs=1e-12)
    value.mean.backward()
    assert not one.hidden_states[1].grad[0, 0].any()  # type: ignore[index]
    longer = outputs(torch.cat([prompt, noise]), [-100, 2, 3, -100, -100])
    longer.reference_hidden_states = tuple(torch.cat([s, -noise[None]], 1) for s in longer.reference_hidden_states)  # type: ignore[union-attr]
    assert term(Seen(longer, retain=longer)).mean.item() == pytest.approx(expected, abs=1e-12)


def test_a_direction_is_of_length_1_and_of_its_seed() -> None:
    one, other = random_direction(64, 0), random_direction(64, 1)
    assert one.norm().item() == pytest.approx(1)
    assert (one > 0).all()
    assert torch.equal(one, random_direction(64, 0))
    assert not torch.allclose(one, other)


def test_layers_are_counted_from_0_and_shares_are_of_the_depth() -> None:
    assert state_index(7, 32) == state_index(0.25, 32) == 8
    assert [state_index(share, 4) for share in (0.01, 0.25, 0.5, 1.0)] == [1, 1, 2, 4]


def test_the_states_are_those_of_the_layer(model_folders: Any) -> None:
    """By a hook in the model: what is called layer 0 is what the first block gives out."""
    module = Unlearning(model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=RMU(layer=0))
    module.configure_model()
    assert module.model is not None
    assert module.num_layers == 2
    given: list[torch.Tensor] = []
    hook = lambda _module, _inputs, output: given.append(output[0] if isinstance(output, tuple) else output)  # noqa: E731
    handle = module.model.transformer.h[0].register_forward_hook(hook)
    ids = torch.tensor([[5, 6, 7, 8]])
    labels = torch.tensor([[-100, -100, 7, 8]])
    seen = module.see({"input_ids": ids, "labels": labels})
    handle.remove()
    expected = (given[0][0, 1:3] - 6.5 * random_direction(16, 0)).square().mean()
    (part,) = module.unlearning_objective(seen)
    torch.testing.assert_close(part.term.mean, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_a_layer_that_is_not_there_is_said_before_the_first_step(
    architecture: str, model_folders: Any, trace: Any, make_data: Any
) -> None:
    objective = Objective(RMU(layer=2), [RetainHiddenStates(layer=7)])
    module = Unlearning(model_folders(architecture), unlearning_objective=objective)
    found = module.architecture_problems()
    assert [problem.partition(" reads")[0].rpartition(" ")[2] for problem in found] == [
        "RMU(layer=2)",
        "RetainHiddenStates(layer=7)",
    ]
    assert all("it has 2, so give a number from 0 to 1, or a share of the depth such as 0.25" in one for one in found)
    if architecture == "llama":
        with pytest.raises(ConfigurationError, match=r"RMU.*reads a layer that the model has not"):
            trace(data=make_data(batch_size=4), module=module)


@pytest.mark.parametrize("layer", [-1, 0.0, 1.5, math.nan, True])
@pytest.mark.parametrize("term", [RMU, RetainHiddenStates])
def test_a_layer_that_can_not_be_is_refused(term: Any, layer: Any) -> None:
    with pytest.raises(ValueError, match=r"give the number of a layer from 0, e\.g\. 7, or a share of the depth"):
        term(layer=layer)


def test_each_episode_has_the_direction_of_its_seed(trace: Any, make_data: Any) -> None:
    seeds: list[Any] = []

    class Watched(RMU):
        def prepare(self, module: Any) -> None:
            super().prepare(module)
            seeds.append(self.state_dict()["seed"])

    options = {"unlearning_objective": Objective(Watched(), [RetainHiddenStates()])}
    trace(data=make_data(("birds", "ships"), batch_size=4), seeds=(3, 5), steps=1, module_options=options)
    assert seeds == [3, 3, 5, 5]


def test_plain_ddp_waits_for_gradients_that_do_not_come(model_folders: Any) -> None:
    from lightning.pytorch.strategies import DDPStrategy

    def problems(objective: Objective, **options: Any) -> list[str]:
        module = Unlearning(model_folders(), unlearning_objective=objective)
        return module.strategy_problems(DDPStrategy(**options))

    rmu = Objective(RMU(), [RetainHiddenStates()])
    (problem,) = problems(rmu)
    assert "does not reach every parameter" in problem
    assert "use ddp_find_unused_parameters_true" in problem
    assert problems(rmu, find_unused_parameters=True) == []
    assert problems(Objective(RMU(), [RetainLoss()])) == []
