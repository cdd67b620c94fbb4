"""What measures may ask for beside logits, held against a model of transformers that nobody has moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from probes import HiddenShift, HiddenSize, LikelihoodFall

from lightning_untrac import EpisodePlan, Evaluation, Unlearning
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import example_losses, shift_labels_left
from lightning_untrac.metrics.kl_to_reference import KLToReference
from lightning_untrac.objectives import Objective, RetainKL
from lightning_untrac.tables import read_measurements

LORA = {"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True}


def close(found: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.fixture
def held(monkeypatch: Any) -> Any:
    """Let a measure also hold what it is given against the model as it was saved; gives the number of its readings."""
    from transformers import AutoModelForCausalLM

    def hold(measure: type, folder: str) -> list[int]:
        frozen = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
        readings: list[int] = []
        plain: Any = measure.__call__

        def call(self: Any, seen: Any) -> Any:
            batch = seen.batch
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
            before = frozen(**inputs, output_hidden_states=True)
            if seen.reference_logits is not None:
                close(seen.reference_logits, before.logits)
            if seen.reference_hidden_states is not None:
                close(seen.reference_hidden_states[-1], before.hidden_states[-1])
            if seen.reference_log_probs is not None:
                close(seen.reference_log_probs, -example_losses(before.logits, shift_labels_left(batch["labels"]))[0])
            readings.append(len(seen.targets))
            return plain(self, seen)

        monkeypatch.setattr(measure, "__call__", call)
        return readings

    return hold


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "adapters"])
@pytest.mark.parametrize("retain", [False, True], ids=["ascent", "with a reference of its own"])
@pytest.mark.parametrize("measure", [HiddenSize, HiddenShift, LikelihoodFall, KLToReference])
def test_each_need_is_that_of_the_model_before_unlearning(
    measure: Any, retain: bool, lora: Any, held: Any, trace: Any, make_data: Any, model_folders: Any, tmp_path: Path
) -> None:
    folder = model_folders("gpt2", "float64")
    module = Unlearning(
        folder, dtype="float64", lora=lora, optimizer=lambda p: torch.optim.SGD(p, lr=0.3),
        unlearning_objective=Objective(retain=[RetainKL()] if retain else []),
    )  # fmt: skip
    readings = held(measure, folder)
    recorder = MeasureRecorder(tmp_path, ["loss", measure()])
    data = make_data(("birds", "ships"), ("ask-birds",), batch_size=4, eval_batch_size=3)
    trace(data=data, module=module, steps=2, readings=2, callbacks=(recorder,))
    assert sum(readings) == (1 + 2 * 2) * 5  # before, and twice in each of two episodes
    rows = [row for row in read_measurements(tmp_path).to_pylist() if row["measure"] == measure.name]
    assert rows
    if "reference" in "".join(measure.needs):
        assert max(abs(row["value"]) for row in rows if row["step"] == 0) == 0
        assert all(row["value"] for row in rows if row["step"] == 2)
    assert module.reference.start_weights is None  # nothing outlives the fit


def test_measuring_from_the_reference_changes_no_influence(trace: Any, make_data: Any) -> None:
    plain, _, _ = trace(data=make_data(batch_size=4), steps=2)
    for measures in ("loss,kl_to_reference", ["loss", HiddenShift(), LikelihoodFall()]):
        measured, _, _ = trace(data=make_data(batch_size=4), steps=2, callbacks=(MeasureRecorder(None, measures),))
        assert measured == plain


def test_the_model_runs_once_where_nothing_is_asked_for(trace: Any, make_data: Any, monkeypatch: Any) -> None:
    runs: dict[str, int] = {}
    run = Unlearning._run

    def counted(module: Any, batch: Any, **options: Any) -> Any:
        if module.trainer.validating or module.trainer.sanity_checking:
            name = "+".join(measure.name for measure in module.measures)
            runs[name] = runs.get(name, 0) + 1
            assert bool(options) == ("hidden" in name)
        return run(module, batch, **options)

    monkeypatch.setattr(Unlearning, "_run", counted)
    for measures in ("loss,memorisation_accuracy", ["loss", HiddenSize()], ["loss", LikelihoodFall()]):
        data = make_data(("birds",), ("ask-birds",), batch_size=4)
        trace(data=data, steps=2, readings=2, callbacks=(MeasureRecorder(None, measures),))
    assert len(set(runs.values())) == 1


def test_a_need_that_nothing_gives_is_refused_before_step_0(make_data: Any, model_folders: Any) -> None:
    data = make_data(("birds",), ())
    data.plan = EpisodePlan("one")
    options: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    for phase in (Evaluation, Unlearning):  # nobody says what a model that is only looked at was before
        recorder = MeasureRecorder(None, ["loss", KLToReference(), HiddenShift(), HiddenSize()])
        trainer = L.Trainer(accelerator="cpu", callbacks=[recorder], **options)
        with pytest.raises(ConfigurationError) as caught:
            trainer.validate(phase(model_folders()), datamodule=data, verbose=False)
        first, second = caught.value.problems
        given = (
            "answers, continuations, gradients, hidden_states, logits, neighbours, shots, targets, texts"
            if phase is Evaluation
            else "answers, continuations, gradients, hidden_states, logits, shots, targets, texts"
        )
        assert f"kl_to_reference needs reference_logits, and a pass here gives {given}" in first
        assert "test_hidden_shift needs reference_hidden_states" in second
