from __future__ import annotations

import pytest
import torch

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX, example_losses
from lightning_untrac.metrics import MEASURES, Measure, Measured, Outputs, find_measures
from lightning_untrac.metrics.needs import measure_problems
from lightning_untrac.results.measures import measure_text


@pytest.fixture
def seen() -> Outputs:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 11, (5, 7), generator=generator)
    targets[0, 3:] = IGNORE_INDEX
    targets[4] = IGNORE_INDEX
    logits, before = torch.randn(2, 5, 7, 11, generator=generator)
    return Outputs(logits, targets, reference_logits=before)


@pytest.fixture(params=["loss", "memorisation_accuracy", "extraction_strength", "kl_to_reference"])
def measure(request: pytest.FixtureRequest) -> Measure:
    return find_measures(request.param)[0]


def test_a_measure_says_all_that_is_asked_of_it(measure: Measure) -> None:
    text = measure_text(measure.name)
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting in ((0,) if measure.name == "kl_to_reference" else (-1, 1))


def test_an_example_does_not_depend_on_its_batch(measure: Measure, seen: Outputs) -> None:
    whole = measure(seen)
    for row in range(5):
        logits, targets, before = (x[row : row + 1] for x in (seen.logits, seen.targets, seen.reference_logits))
        alone = measure(Outputs(logits, targets, reference_logits=before))
        assert torch.allclose(alone.value, whole.value[row], rtol=1e-12, equal_nan=True)
        assert alone.weight.item() == whole.weight[row].item()


def test_padding_changes_nothing(measure: Measure, seen: Outputs) -> None:
    more = torch.randn(5, 3, 11, generator=torch.Generator().manual_seed(1))
    logits, before = (torch.cat([one, more], dim=1) for one in (seen.logits, seen.reference_logits))
    targets = torch.nn.functional.pad(seen.targets, (0, 3), value=IGNORE_INDEX)
    padded = measure(Outputs(logits, targets, reference_logits=before))
    plain = measure(seen)
    assert torch.allclose(padded.value, plain.value, rtol=1e-12, equal_nan=True)
    assert torch.equal(padded.weight, plain.weight)


def test_values_are_within_bounds_and_count_by_target_tokens(measure: Measure, seen: Outputs) -> None:
    value, weight = measure(seen)
    low, high = measure.bounds
    counted = value[weight > 0]
    assert ((counted >= low) & (counted <= high)).all()
    assert weight.tolist() == (seen.targets != IGNORE_INDEX).sum(dim=1).tolist()
    assert value[4].isnan()


def test_the_loss_is_that_of_the_training(seen: Outputs) -> None:
    value, weight = find_measures("loss")[0](seen)
    sums, counts = example_losses(seen.logits, seen.targets)
    assert torch.equal(value[:4], (sums / counts)[:4])
    expected = torch.nn.functional.cross_entropy(
        seen.logits.double().flatten(0, 1), seen.targets.flatten(), ignore_index=IGNORE_INDEX
    )
    counted = weight > 0
    mean = (value[counted] * weight[counted]).sum() / weight.sum()
    assert mean.item() == pytest.approx(expected.item(), rel=1e-6)


def test_two_settings_of_one_measure_are_refused_and_not_dropped() -> None:
    both = [{"class_path": "leak_at_k", "init_args": {"k": 2, "n": n}} for n in (4, 8)]
    assert [measure.name for measure in find_measures([both[0], both[0], "leak_at_k"])] == ["leak_at_2", "leak_at_4"]
    with pytest.raises(ConfigurationError, match=r"'leak_at_2' is given with .*'n': 4.* and with .*'n': 8"):
        find_measures(both)
    with pytest.raises(ConfigurationError, match="'answered' is given with its own settings and with"):
        find_measures(["answered", {"class_path": "answered", "init_args": {"judge": "any_word"}}])


def test_one_pass_serves_all_measures(seen: Outputs) -> None:
    assert seen.losses is seen.losses
    assert seen.hits is seen.hits
    accuracy, strength = (find_measures(name)[0](seen) for name in ("memorisation_accuracy", "extraction_strength"))
    assert (strength.value <= accuracy.value)[accuracy.weight > 0].all()


def test_the_earlier_name_of_a_pass_stays() -> None:
    from lightning_untrac.metrics import ForwardPass

    assert ForwardPass is Outputs


def test_all_that_is_wrong_is_said_at_once() -> None:
    class NeedsMore(Measure):
        name = "test_needs_more"
        needs = frozenset({"hidden_states"})

        def __call__(self, seen: Outputs) -> Measured:
            raise NotImplementedError

    class NeedsArguments(NeedsMore):
        name = "test_needs_arguments"
        needs = frozenset()

        def __init__(self, k: int) -> None:
            self.k = k

    said = measure_problems("los, test_needs_arguments, loss", given=())
    assert len(said) == 2
    assert "did you mean 'loss'" in said[0]
    assert "cannot be made without arguments" in said[1]
    (said,) = measure_problems("test_needs_more, loss", given=())
    assert said == "measures: test_needs_more needs hidden_states, and a pass here gives logits, targets; leave it out"
    assert measure_problems("test_needs_more", given={"hidden_states"}) == []
    (said,) = measure_problems("kl_to_reference", given={"hidden_states"})
    assert "needs reference_logits, and a pass here gives hidden_states, logits, targets; leave it out, or" in said
    with pytest.raises(ConfigurationError, match="none given; use one of"):
        find_measures(" , ")


def test_a_measure_named_twice_is_measured_once() -> None:
    path = "lightning_untrac.metrics.loss.Loss"
    assert [measure.name for measure in find_measures(["loss", path])] == ["loss"]
    assert "loss" in MEASURES.names()
