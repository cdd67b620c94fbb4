"""TA and TAU: which weights are saved, when they end, and that a run which was cut ends in the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from memorised_texts import cut_at, losses_and_accuracies, passes, weights

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
SECRETS = ("unlearn", "--forget", "secrets", "--predict", "false", "--readings", 2)
LORA = "{r: 2, target_modules: [q_proj, v_proj, up_proj]}"
TAU = ("--method", "tau", "--method.threshold", 0.6, "--method.switch", 0.5, "--method.stop", "mean")


def note(text: str) -> str:
    """What the command says that it came to."""
    return " ".join(text.split()).partition("memorisation accuracy: ")[2].partition(" model:")[0]


def steps_in(text: str) -> int:
    return int(" ".join(text.split()).partition("stopped after ")[2].partition(" of ")[0])


def test_ta_takes_away_what_descent_would_have_added_and_stops_by_the_edited_weights(
    memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    command = (*SECRETS, "--config", memorised_config(ADAM), "--output", tmp_path / "out")
    ran = untrac(*command, "--method", "ta", "--method.stop", "mean", "--method.level", 0.3)
    assert ran.code == 0, ran.text
    steps = steps_in(ran.text)
    for name, taken in (("tuned", steps), ("before", steps - 1)):
        other = untrac(*command, "--objective", "descent", "--steps", taken, "--data.batch_size", 8, "--name", name)
        assert other.code == 0, other.text
    away, tuned, before = (weights(tmp_path / "out" / f"unlearned-secrets{end}") for end in ("", "-tuned", "-before"))
    start = weights(Path(memorised.model))
    for name, tensor in start.items():
        torch.testing.assert_close(away[name], 4 * tensor - 3 * tuned[name], rtol=1e-5, atol=1e-6)
    network, _, accuracies = losses_and_accuracies(tmp_path / "out" / "unlearned-secrets", memorised.secrets)
    assert accuracies.mean() <= 0.3
    assert f"mean 0.74 to {accuracies.mean():.2f}" in " ".join(ran.text.split())
    network.load_state_dict({name: 4 * tensor - 3 * before[name] for name, tensor in start.items()}, strict=False)
    network.save_pretrained(tmp_path / "earlier")
    network.tie_weights()
    for file in Path(memorised.model).glob("*token*"):
        (tmp_path / "earlier" / file.name).write_bytes(file.read_bytes())
    assert losses_and_accuracies(tmp_path / "earlier", memorised.secrets)[2].mean() > 0.3


@pytest.mark.parametrize("lora", [False, True])
def test_tau_is_sga_and_then_a_vector_from_there_with_a_fresh_optimizer(
    lora: bool, memorised: Any, memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    if lora:
        pytest.importorskip("peft")
    rate = {**ADAM, "init_args": {"lr": 2e-2 if lora else 1e-3}}
    out = tmp_path / "out"
    command = (*SECRETS, "--config", memorised_config(rate), "--output", out, *(("--model.lora", LORA) if lora else ()))
    sga = ("--method", "sga", "--method.threshold", 0.6, "--method.stop", "mean", "--method.level", 0.5)
    for name, flags in (("whole", (*TAU, "--method.level", 0.3)), ("first", sga)):
        ran = untrac(*command, *flags, "--steps", 40, "--retain", "loss", "--name", name)
        assert ran.code == 0, ran.text
        if name == "whole":
            whole = ran
    steps = steps_in(whole.text) - steps_in(ran.text)
    assert steps > 0
    assert f"then a task vector from {steps_in(ran.text)} steps on" in " ".join(whole.text.split())
    file = "adapter_model.safetensors" if lora else "model.safetensors"
    edited, switch = (weights(out / f"unlearned-secrets-{name}", file) for name in ("whole", "first"))
    if lora:
        for name, tensor in edited.items():
            assert torch.equal(tensor, switch[name]) is ("lora_A" in name)
        return
    second = memorised_config(rate, model=out / "unlearned-secrets-first")
    ran = untrac(
        *(*SECRETS, "--config", second, "--objective", "descent", "--steps", steps, "--data.batch_size", 8),
        *("--output", tmp_path / "second"),
    )
    assert ran.code == 0, ran.text
    tuned = weights(tmp_path / "second" / "unlearned-secrets")
    for name, tensor in switch.items():
        torch.testing.assert_close(edited[name], 2 * tensor - tuned[name], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("method", ["ta", "tau"])
def test_a_run_that_is_cut_ends_in_the_same_model(
    method: str, memorised_config: Any, untrac: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = TAU if method == "tau" else ("--method", "ta", "--method.stop", "mean", "--method.coefficient", 0.5)
    command = (*SECRETS, *flags, "--method.level", 0.1, "--steps", 12, "--checkpoint_every", 1)
    command += ("--config", memorised_config(ADAM), "--output", tmp_path / "out")
    for step in (2, 9):
        cut_at(step, monkeypatch, untrac, command)
    ran, whole = untrac(*command), untrac(*command, "--name", "whole")
    assert (ran.code, whole.code) == (0, 0), ran.text + whole.text
    if method == "tau":
        switched = int(" ".join(ran.text.split()).partition("a task vector from ")[2].partition(" ")[0])
        assert 2 < switched < 9
    cut, expected = (weights(tmp_path / "out" / f"unlearned-secrets{end}") for end in ("", "-whole"))
    assert all(torch.equal(cut[name], expected[name]) for name in expected)
    both, of_whole = passes(tmp_path / "out"), passes(tmp_path / "out", "whole")
    assert both == sorted(of_whole * 2)
    assert note(ran.text) == note(whole.text) != ""


def test_a_coefficient_that_is_too_large_is_said(memorised_config: Any, untrac: Any, tmp_path: Path) -> None:
    command = (*SECRETS, "--method", "ta", "--method.coefficient", 1e45, "--steps", 3)
    ran = untrac(*command, "--config", memorised_config(ADAM), "--output", tmp_path / "out")
    text = " ".join(ran.text.split())
    assert "with the coefficient 1e+45 the edited weights give numbers that are not finite; give a smaller" in text
    assert "the model ended nonfinite after 1 step" in text


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        (
            ("--method", "tau", "--data.holdout", "[]", "--method.threshold", 0.7),
            ("data.holdout: tau measures its level and switch on text", "give method.level and method.switch"),
        ),
        (
            ("--method", "tau", "--method.switch", 2, "--method.coefficient=-1"),
            (
                "method.switch: 2.0; give a memorisation accuracy",
                "method.coefficient: -1.0; give 1, for",
            ),
        ),
        (("--method", "ta", "--retain", "loss"), ("method: ta goes with no retain term",)),
        (("--method", "task_vector", "--method.level", 0.3), ("method.level: belongs to method.stop",)),
    ],
)
def test_what_cannot_be_is_said_before_the_first_step(
    flags: Any, sentences: tuple[str, ...], memorised_config: Any, untrac: Any, tmp_path: Path
) -> None:
    ran = untrac(*SECRETS, "--config", memorised_config(), *flags, "--output", tmp_path / "out")
    assert ran.code == 2
    text = " ".join(ran.text.split())
    assert all(sentence in text for sentence in sentences), ran.text
