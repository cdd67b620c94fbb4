"""Secrets are neither written nor shown, and what stands in their place can be run again."""

from __future__ import annotations

import json

import pytest
import yaml

import lightning_untrac.redaction as redaction
from lightning_untrac.cli import main
from lightning_untrac.redaction import hidden, redacted, redacted_arguments, restored

KEY = "hunter2hunter2"
FORMS = ["hf_" + "a1" * 17, "sk-" + "b2" * 20, "ghp_" + "c3" * 18, "AKIA" + "D" * 16, "glpat-" + "e" * 20]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "WANDB_API_KEY", "token", "hub_token", "password", "credentials"]
)
def test_by_name(name):
    assert KEY not in json.dumps(redacted({"a": [{name: KEY}, {name: {"value": KEY}}]}))
    assert KEY not in " ".join(redacted_arguments([f"--a.{name}={KEY}", f"--a.{name}", KEY, f"--a={{{name}: {KEY}}}"]))


@pytest.mark.parametrize("secret", FORMS)
def test_by_form(secret):
    assert secret not in json.dumps(redacted({"note": f"use {secret} there"}))
    assert secret not in hidden(f"401 for {secret}")


@pytest.mark.parametrize(
    "config",
    [
        {"tokenizer": "byte", "eos_token": "</s>", "max_tokens": 5, "use_auth_token": True, "passes": 2},
        {"revision": "0123456789abcdef0123456789abcdef01234567"},
        {"where": {"token": "the", "password": "qwerty123"}},
        {"name_or_path": "meta-llama/Meta-Llama-3-8B-Instruct", "path": "builtin:world/news", "output": "runs/a"},
        {"class_path": "torch.optim.lr_scheduler.OneCycleLR"},
    ],
)
def test_what_is_no_secret_stays(config):
    assert redacted(config) == config


def test_a_value_of_the_environment_is_a_reference_that_restores_it(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", KEY)
    saved = redacted({"logger": {"api_key": KEY}, "note": KEY})
    assert saved == {"logger": {"api_key": "${env:MY_SERVICE_TOKEN}"}, "note": "${env:MY_SERVICE_TOKEN}"}
    assert restored(saved) == ({"logger": {"api_key": KEY}, "note": KEY}, [])
    assert redacted(saved) == saved
    monkeypatch.delenv("MY_SERVICE_TOKEN")
    assert "no environment variable MY_SERVICE_TOKEN" in restored(saved)[1][0]


def test_passwords_and_keys_in_addresses():
    text = hidden("https://me:pass@host/x?page=2&api_key=abc&sig=d")
    assert text == "https://${secret}@host/x?page=2&api_key=${secret}&sig=${secret}"


def test_a_whole_run_leaves_no_secret(tmp_path, text_files, model_folders, cache_folder, monkeypatch, capsys):
    """Given in a configuration and on the command line; the run itself gets the real values."""
    entry = [{"name": "birds", "path": str(text_files["birds"])}]
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger",
              "init_args": {"save_dir": str(tmp_path / "csv"), "name": "x", "version": FORMS[0]}}  # fmt: skip
    content = {
        "model": {"name_or_path": model_folders("llama")},
        "data": {
            "corpora": entry,
            "test_sets": [{"name": "ask-birds", "path": str(text_files["ask-birds"])}],
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu", "logger": logger},
        "stages": [{"trace": {"method": "untrac", "steps": 1, "data": {"batch_size": 4}}}, {"report": None}],
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    output = tmp_path / "out"
    argv = ["run", str(path), "--output", str(output), "--trainer.logger.init_args.name", FORMS[1]]
    monkeypatch.setattr("sys.argv", ["untrac", *argv])
    assert main(argv) == 0
    assert (tmp_path / "csv" / FORMS[1] / FORMS[0]).is_dir()  # what the logger got
    for file in output.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert FORMS[0].encode() not in held, file
            assert FORMS[1].encode() not in held, file
    shown = capsys.readouterr()
    assert FORMS[0] not in shown.out + shown.err
    assert "${secret}" in (output / "trace-untrac.yaml").read_text()
    assert main(["trace", "--config", str(output / "trace-untrac.yaml"), "--output", str(tmp_path / "again")]) == 2
    assert "the secret was not saved; give it again" in capsys.readouterr().err
