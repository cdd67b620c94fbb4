"""Measures of what comes after a prefix, from the model to the table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder

from lightning_untrac import EpisodePlan, Evaluation
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.metrics import Measure, Outputs, find_measures
from lightning_untrac.metrics.after_prefix import NothingCountsWarning
from lightning_untrac.results.measures import measure_text
from lightning_untrac.tables import read_measurements

SETTINGS: dict[str, Any] = {"prefix": 2, "length": 3}
NAMES = ("exact_extraction", "verbatim_leak", "discoverable")
ALL: list[Any] = [{"class_path": name, "init_args": SETTINGS} for name in NAMES]


@pytest.fixture
def seen() -> Outputs:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 11, (6, 7), generator=generator)
    targets[0, 4:] = IGNORE_INDEX
    targets[3, :2] = IGNORE_INDEX
    targets[5] = IGNORE_INDEX
    logits = torch.randn(6, 7, 11, generator=generator)
    logits[4] += 9 * torch.nn.functional.one_hot(targets[4], 11)  # known by heart
    return Outputs(logits, targets)


@pytest.fixture(params=ALL, ids=NAMES)
def measure(request: pytest.FixtureRequest) -> Measure:
    return find_measures([request.param])[0]


def test_it_says_all_that_is_asked_of_it_and_its_settings_name_it(measure: Measure) -> None:
    text = measure_text(measure.name)
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert measure.name.endswith("_prefix_2_length_3")
    assert text.title.endswith("(prefix 2, length 3)")
    assert text.forgetting == (1 if "discoverable" in measure.name else -1)
    assert find_measures(measure.name.removesuffix("_prefix_2_length_3"))[0].name in NAMES


def test_neither_batch_nor_padding_changes_an_example(measure: Measure, seen: Outputs) -> None:
    whole = measure(seen)
    assert whole.weight.tolist() == [0, 1, 1, 1, 1, 0]
    assert whole.value.isnan().tolist() == [True, False, False, False, False, True]
    low, high = measure.bounds
    assert ((whole.value >= low) & (whole.value <= high))[whole.weight > 0].all()
    for row in range(6):
        alone = measure(Outputs(seen.logits[row : row + 1], seen.targets[row : row + 1]))
        torch.testing.assert_close(alone.value, whole.value[row : row + 1], rtol=1e-12, atol=0, equal_nan=True)
    noise = torch.randn(6, 3, 11, generator=torch.Generator().manual_seed(1))
    for pad, parts in (((0, 3), [seen.logits, noise]), ((3, 0), [noise, seen.logits])):
        targets = torch.nn.functional.pad(seen.targets, pad, value=IGNORE_INDEX)
        padded = measure(Outputs(torch.cat(parts, dim=1), targets))
        torch.testing.assert_close(padded, whole, rtol=1e-12, atol=0, equal_nan=True)


def test_what_is_known_by_heart_stands_out(seen: Outputs) -> None:
    exact, leak, draws = (one(seen).value for one in find_measures(ALL))
    assert exact[4].item() == 1
    assert leak[4].item() == pytest.approx(1)
    assert draws[4].item() <= math.log10(2)
    assert (draws[1:4] > 1).all()
    assert exact[1:4].sum() == 0


def test_greedy_draws_are_the_limit_of_cold_ones(seen: Outputs) -> None:
    cold = {"n": 1, "temperature": 1e-4, **SETTINGS}
    exact, leak = find_measures([ALL[0], {"class_path": "verbatim_leak", "init_args": cold}])
    torch.testing.assert_close(leak(seen).value, exact(seen).value, equal_nan=True)
    (top,) = find_measures([{"class_path": "verbatim_leak", "init_args": {"n": 1, "top_k": 1, **SETTINGS}}])
    assert torch.equal(top(seen).value.nan_to_num(), exact(seen).value.nan_to_num())


def measured(make_data: Any, folder: str, out: Path, size: int, measures: Any = None) -> dict[tuple[str, int], Any]:
    data = make_data(("birds",), (), eval_batch_size=size)
    data.plan = EpisodePlan("one")
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", callbacks=[MeasureRecorder(out, measures or ALL)], **options)
    trainer.validate(Evaluation(folder, dtype="float64"), datamodule=data, verbose=False)
    return {(row["measure"], row["example"]): row["value"] for row in read_measurements(out).to_pylist()}  # type: ignore[union-attr]


def test_a_table_does_not_depend_on_the_batch_size(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    folder = model_folders("llama", "float64")
    one, other = (measured(make_data, folder, tmp_path / str(size), size) for size in (5, 12))
    assert one.keys() == other.keys()
    assert len(one) == 3 * 12
    assert list(one.values()) == pytest.approx([other[key] for key in one], rel=1e-9)


def test_a_dataset_of_short_texts_is_said(make_data: Any, model_folders: Any, tmp_path: Path) -> None:
    asked = [{"class_path": "verbatim_leak", "init_args": {"prefix": 60}}]
    with pytest.warns(NothingCountsWarning, match=r"verbatim_leak_prefix_60: no example of birds has 61 target tokens"):
        measured(make_data, model_folders("llama", "float64"), tmp_path, 12, asked)


def test_settings_that_are_wrong_are_said_at_once() -> None:
    wrong: list[Any] = [
        {"class_path": "exact_extraction", "init_args": {"prefix": -1, "length": 0}},
        {"class_path": "verbatim_leak", "init_args": {"n": 0, "temperature": 0.0, "top_k": 0}},
        {"class_path": "discoverable", "init_args": {"p": 1.0}},
    ]
    with pytest.raises(ConfigurationError) as caught:
        find_measures(wrong)
    said = [problem.removeprefix("measures: ") for problem in caught.value.problems]
    begins = ["exact_extraction: prefix is -1", "exact_extraction: length is 0", "verbatim_leak: n is 0"]
    begins += ["verbatim_leak: temperature is 0", "verbatim_leak: top_k is 0", "discoverable: p is 1.0"]
    assert len(said) == len(begins)
    assert all(one.startswith(begin) for one, begin in zip(said, begins, strict=True))
