"""Which model a verb starts from, where it is given a configuration that training was given too."""

from types import SimpleNamespace

import pytest
from jsonargparse import Namespace

from lightning_untrac.runs.saved_models import use_saved_model


@pytest.fixture
def trained(tmp_path):
    """A run folder whose training started from ``base``."""
    (tmp_path / "model").mkdir()
    (tmp_path / "pretrain.yaml").write_text("model: {init_args: {name_or_path: base}}\n")
    return tmp_path


def started(folder, given, **how):
    """The model that is used where one is given."""
    config = SimpleNamespace(model=SimpleNamespace(init_args=Namespace(name_or_path=given, config=None)))
    use_saved_model(config, str(folder), "model", **how)
    return config.model.init_args.name_or_path


@pytest.mark.parametrize("given", [None, "base", "./base"])
def test_what_was_trained_takes_the_place_of_where_that_started(trained, capsys, given):
    assert started(trained, given) == str(trained / "model")
    assert capsys.readouterr().out == (f"model: {trained / 'model'}, which was trained from {given}\n" if given else "")


def test_another_model_is_meant_itself(trained, tmp_path):
    assert started(trained, "other") == "other"
    assert started(trained, "base", named=True) == "base"
    (trained / "pretrain.yaml").unlink()
    assert started(trained, "base") == "base"
