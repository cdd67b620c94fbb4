"""What measures say of a batch in which some logits are no numbers."""

from __future__ import annotations

import math

import torch

from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.measure import measure_all
from lightning_untrac.outputs import Outputs


def test_broken_logits_are_not_forgetting() -> None:
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    whole = Outputs(logits, torch.tensor([[1, 2, 3, 0]] * 3))
    broken = logits.clone()
    broken[1, 2, 0] = math.nan
    measures = find_measures("loss,memorisation_accuracy,extraction_strength")
    before, after = measure_all(measures, whole), measure_all(measures, Outputs(broken, whole.targets))
    for name, said in after.items():
        assert said.value.isnan().tolist() == [False, True, False]
        assert torch.equal(said.value[[0, 2]], before[name].value[[0, 2]].double())
        assert torch.equal(said.weight, before[name].weight)
