"""The verbs' door: help, exit codes, and nothing heavy before the verb is known."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

import lightning_untrac.verbs.compare as compare_verb
from lightning_untrac import __version__
from lightning_untrac.cli import VERBS, main

QUICK = """
import sys
from lightning_untrac.cli import main
assert main(["--help"]) == 0 and main(["--version"]) == 0 and main(["nonsense"]) == 2
heavy = {"torch", "lightning", "transformers", "wandb", "datasets", "pandas", "peft", "ray"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_and_version_import_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"lightning-untrac {__version__}" in done.stdout
    assert all(verb in done.stdout for verb in VERBS)


def test_an_unknown_verb_names_the_nearest(capsys):
    assert main(["trase"]) == 2
    assert "no verb 'trase'; did you mean 'trace'?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "run"])
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert "--output" in capsys.readouterr().out


def test_help_of_run_names_the_recipes(capsys):
    assert main(["run", "--help"]) == 0
    assert "quickstart" in capsys.readouterr().out


def test_print_config_is_a_config(capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["trace", "--method", "untrac", "--output", "x", "--steps", "7", "--print_config"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "steps: 7" in printed
    assert "accumulate_grad_batches" in printed


def _raise(error):
    def run(argv):
        raise error

    return run


def test_a_full_disk_is_a_message(monkeypatch, capsys):
    monkeypatch.setattr(compare_verb, "main", _raise(OSError(errno.ENOSPC, "No space left on device", "runs/a")))
    assert main(["compare"]) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "the same command goes on" in error


def test_a_full_disk_is_a_message_whoever_noticed_it(monkeypatch, capsys):
    monkeypatch.setattr(compare_verb, "main", _raise(RuntimeError("I/O error: No space left on device (os error 28)")))
    assert main(["compare"]) == 2
    assert "the same command goes on" in capsys.readouterr().err


def test_flags_that_do_not_go_together_are_a_message(monkeypatch, capsys):
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    monkeypatch.setattr(compare_verb, "main", _raise(MisconfigurationException("not with this strategy")))
    assert main(["compare"]) == 2
    assert capsys.readouterr().err == "untrac compare: not with this strategy\n"


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(compare_verb, "main", _raise(OSError(errno.EBADF, "a bug")))
    with pytest.raises(OSError, match="a bug"):
        main(["compare"])


def test_ctrl_c_is_130(monkeypatch, capsys):
    monkeypatch.setattr(compare_verb, "main", _raise(KeyboardInterrupt()))
    assert main(["compare"]) == 130
    assert "what was finished is kept" in capsys.readouterr().err
