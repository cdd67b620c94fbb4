"""How often a verb makes what its configuration names: once to check it, and once more where it has changed since."""

import counting
import pytest

from lightning_untrac.verbs.trace import arguments

CALLBACKS = {"accelerator": "cpu", "callbacks": [{"class_path": "counting.CountedCallback"}]}
MODEL = "counting.CountedUnlearning"


@pytest.fixture(autouse=True)
def nothing_yet():
    counting.made.clear()


def counted(name):
    return counting.made.count(name)


def model(folder, class_path=MODEL):
    return {"class_path": class_path, "init_args": {"name_or_path": folder}}


@pytest.mark.parametrize(("seeds", "modules"), [("[0]", 1), ("[0,1]", 2)])
def test_a_module_a_fit_and_a_callback_a_trainer(untrac, config, model_folders, tmp_path, seeds, modules):
    path = config(model=model(model_folders("llama")), trainer=CALLBACKS)
    ran = untrac(
        *("trace", "--config", path, "--output", tmp_path / "run", "--method", "untrac"),
        *("--steps", "1", "--readings", "1", "--seeds", seeds),
    )
    assert ran.code == 0, ran.text
    assert counted("module") == modules
    assert counted("callback") == modules + 2  # those that are looked at, the trial Trainer's, and one each fit


def test_pretrain_and_a_trace_of_what_it_made(untrac, config, model_folders, tmp_path):
    path = config(model=model(model_folders("llama"), "counting.CountedPretraining"), trainer=CALLBACKS)
    ran = untrac("pretrain", "--config", path, "--output", tmp_path / "run", "--steps", "1")
    assert ran.code == 0, ran.text
    assert counted("module") == 1
    counting.made.clear()
    path = config(model=model(None), trainer=CALLBACKS)
    ran = untrac(
        *("trace", "--config", path, "--output", tmp_path / "run", "--method", "untrac"),
        *("--steps", "1", "--readings", "1"),
    )
    assert ran.code == 0, ran.text
    assert counted("module") == 2  # the arguments name no model, the folder does


def test_what_was_made_is_handed_on_once_and_only_while_it_is_what_was_asked(config, model_folders, tmp_path):
    path = config(model=model(model_folders("llama")), trainer=CALLBACKS)
    asked = ["--config", str(path), "--output", str(tmp_path / "run"), "--method", "untrac"]
    parsed = arguments(asked)
    first, second = parsed.build(), parsed.build()
    assert counted("module") == 2
    assert parsed.build_module() is not second[0]
    assert counted("callback") == 2
    assert parsed.build_trainer_arguments()["callbacks"][0] is not second[2]["callbacks"][0]
    assert counted("module") == 3
    for one, other in zip(first, second, strict=True):
        assert one is not other
    assert first[2]["callbacks"][0] is not second[2]["callbacks"][0]
    changed = arguments(asked)
    changed.config.model.init_args.name_or_path = "elsewhere"
    assert changed.build()[0].name_or_path == "elsewhere"
