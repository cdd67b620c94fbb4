"""A method, an objective's term, a measure and a verb from one file outside the package each.

The command line takes them by their path, the tables name them, and the report says what they say of themselves.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import invalidate_caches

import pyarrow.parquet as pq
import pytest
import yaml

from lightning_untrac.cli import main

MINE = {
    "my_method": """
import numpy as np
from lightning_untrac.attribution import Attribution, Scoring

class Longest(Scoring):
    method = "longest_of_mine"
    title = "Longest of mine"
    summary = "Gives the corpus with the most documents the highest score."
    unit = "documents"

    def scores(self, run):
        sizes = [len(corpus) for corpus in run.data.tokenized_corpora.values()]
        return np.tile(np.array(sizes, dtype=float)[:, None], len(run.data.test_set_names))

class Brief(Attribution):
    method = "brief_of_mine"
    title = "Brief of mine"
    summary = "Unlearns each corpus for three steps."
    kind = "each_corpus"
    default_steps = 3
    default_batch_size = 5
""",
    "my_term": '''
from lightning_untrac.objectives import ForgetTerm, Term

class Half(ForgetTerm):
    """Half of the ascent."""

    def __call__(self, seen):
        loss = seen.forget.loss
        return Term(-0.5 * loss.total, loss.count)
''',
    "my_measure": """
from lightning_untrac.metrics import Measured, Measure

class Tokens(Measure):
    name = "tokens_of_mine"
    title = "Tokens of mine"
    unit = "tokens"

    def __call__(self, seen):
        counts = (seen.targets != -100).sum(1)
        return Measured(counts.double(), counts)
""",
    "my_data": '''
from lightning_untrac import CorpusDataModule

class Few(CorpusDataModule):
    """Corpora of which few are read.

    Args:
        few: how many corpora are kept.
        settings: of the base.
    """

    def __init__(self, few: int = 2, **settings):
        super().__init__(**settings)
        self.corpora = self.corpora[:few]
''',
    "mine_pkg/__init__": "",
    "mine_pkg/greet": '''
"""``untrac greet``: greet the user of a folder."""

from dataclasses import dataclass
from lightning_untrac.config.parsing import parse
from lightning_untrac.verb import Traits

@dataclass
class Options:
    """Greet.

    Attributes:
        output: folder of the run.
        name: who is greeted.
    """

    output: str
    name: str = "you"

TRAITS = Traits(Options)

def main(argv):
    print(f"hello {parse('greet', Options, argv, None).options.name}")
''',
}


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in MINE.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.lstrip("\n"))
    installed = folder / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[lightning_untrac.verbs]\ngreet = mine_pkg.greet\n")
    monkeypatch.syspath_prepend(str(folder))
    invalidate_caches()
    return folder


@pytest.fixture(autouse=True)
def forgotten():
    """What a test adds is not there for others."""
    from lightning_untrac.attribution import METHODS
    from lightning_untrac.metrics.measure import MEASURES

    for registry in (METHODS, MEASURES):
        registry.names()
    known = [(registry, dict(registry._classes)) for registry in (METHODS, MEASURES)]
    yield
    for registry, classes in known:
        registry._classes = classes
    for name in MINE:
        sys.modules.pop(name.replace("/", ".").removesuffix(".__init__"), None)


@pytest.fixture
def settings(tmp_path, text_files, cache_folder, model_folders):
    """A configuration with three corpora, two test sets and a tiny model."""
    named = {name: [{"name": n, "path": str(text_files[n])} for n in names] for name, names in (
        ("corpora", ("birds", "ships", "bread")), ("test_sets", ("ask-birds", "ask-ships")))}  # fmt: skip
    path = tmp_path / "settings.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "model": {"name_or_path": model_folders("llama")},
                "data": {**named, "cache_folder": cache_folder},
                "trainer": {"accelerator": "cpu"},
            }
        )
    )
    return ["--config", str(path), "--output", str(tmp_path / "run")]


def untrac(*arguments):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        code = main([str(argument) for argument in arguments])
    assert code == 0, text.getvalue()
    return text.getvalue()


def column(folder, table, name):
    return pq.read_table(folder / "run" / f"{table}.parquet").column(name).to_pylist()


def page(folder):
    untrac("report", "--output", folder / "run")
    return (folder / "run" / "report.html").read_text()


def test_methods(tmp_path, settings):
    planned = untrac("plan", *settings, "--methods", "my_method.Longest,my_method.Brief")
    assert "longest_of_mine" in planned
    assert "brief_of_mine" in planned
    shown = untrac("trace", *settings, "--method", "my_method.Longest,my_method.Brief", "--readings", "1")
    assert "Longest of mine" in shown
    table = pq.read_table(tmp_path / "run" / "influence.parquet").to_pylist()
    scores = {row["corpus"]: row["influence"] for row in table if row["method"] == "longest_of_mine"}
    assert scores.keys() == {"birds", "ships", "bread"}
    assert all(score > 0 for score in scores.values())
    assert {row["step"] for row in table if row["method"] == "brief_of_mine" and row["final"]} == {3}
    compared = untrac("compare", "--output", tmp_path / "run", "--reference", "my_method.Brief", "--num_resamples", 50)
    assert "Longest of mine" in compared
    assert "Gives the corpus with the most documents" in page(tmp_path)


def test_options_that_a_method_does_not_take(settings, capsys):
    assert main(["trace", *settings, "--method", "my_method.Longest", "--steps", "3"]) == 2
    assert "steps: longest_of_mine has no episodes" in capsys.readouterr().err
    assert main(["trace", *settings, "--method", "my_method.Brief", "--examples", "--setting", "paper"]) == 2
    said = capsys.readouterr().err
    assert "examples: only --method untrac_inv reads single examples" in said
    assert "setting: brief_of_mine has no published setting" in said


def test_a_method_is_found_again_by_another_process(tmp_path, settings):
    """What a run saves names the class, so that a process that has not imported it finds it."""
    untrac("trace", *settings, "--method", "my_method.Longest")
    saved = yaml.safe_load((tmp_path / "run" / "trace-longest_of_mine.yaml").read_text())
    assert saved["method"] == "my_method.Longest"


def test_a_term_of_an_objective(tmp_path, settings):
    told = untrac(
        *("unlearn", *settings, "--forget", "birds", "--steps", 2, "--readings", 1),
        *("--model.unlearning_objective", "my_term.Half"),
    )
    assert "unlearned-birds" in told
    assert any("Half" in method for method in column(tmp_path, "measurements", "method") if method)
    assert "Half" in page(tmp_path)


def test_a_measure(tmp_path, settings):
    shown = untrac("evaluate", *settings, "--measures", "loss,my_measure.Tokens")
    assert "Tokens of mine" in shown
    assert set(column(tmp_path, "measurements", "measure")) == {"loss", "tokens_of_mine"}
    assert "Tokens of mine" in page(tmp_path)


@pytest.mark.parametrize("way", ["settings", "class path", "flags"])
def test_a_data_module(tmp_path, settings, way):
    content = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    flags = []
    if way == "settings":
        content["data"] = {"class_path": "my_data.Few", "init_args": {"few": 1, **content["data"]}}
    elif way == "class path":
        content["data"] |= {"class_path": "my_data.Few", "few": 1}
    else:
        flags = ["--data", "my_data.Few", "--data.few", "1"]
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(content))
    untrac("trace", *settings, "--method", "bm25", *flags)
    assert set(column(tmp_path, "influence", "corpus")) == {"birds"}
    assert "finished already" in untrac("trace", *settings, "--method", "bm25", *flags)


def test_what_is_wrong_with_a_data_module(tmp_path, settings, capsys):
    assert main(["trace", *settings, "--data", "my_data.Few", "--data.fwe", "1"]) == 2
    assert "--data.fwe: unknown key; did you mean 'few'? there are " in capsys.readouterr().err
    assert main(["trace", *settings, "--data", "my_data.Other"]) == 2
    assert "no class can be imported as 'my_data.Other'" in capsys.readouterr().err
    assert main(["trace", *settings, "--data", "my_term.Half"]) == 2
    assert "'my_term.Half' is no subclass of lightning_untrac.CorpusDataModule" in capsys.readouterr().err


def test_help_lists_what_a_phase_hands_on_to_its_base(capsys):
    with pytest.raises(SystemExit):
        main(["trace", "--model.help=lightning_untrac.Unlearning"])
    shown = capsys.readouterr().out
    for name in ("name_or_path", "unlearning_objective", "config", "tokenizer", "lora", "lr_scheduler", "compile"):
        assert f"  --model.{name} " in shown, name


def test_a_verb(tmp_path, capsys):
    assert "  greet      greet the user of a folder\n" in untrac("--help")
    assert "mine_pkg" not in sys.modules  # the list is read, nothing is imported for it
    assert "hello birds" in untrac("greet", "--output", tmp_path, "--name", "birds")
    assert "hello you" in untrac("mine_pkg.greet", "--output", tmp_path)
    assert main(["greeet"]) == 2
    assert "did you mean 'greet'?" in capsys.readouterr().err


def test_a_verb_is_a_stage_of_a_recipe(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    steps = [{"greet": {"name": "birds"}}, {"mine_pkg.greet": {"name": "ships"}}]
    recipe.write_text(yaml.safe_dump({"title": "greetings", "stages": steps}))
    said = untrac("run", recipe, "--output", tmp_path / "run", "--greet.name", "bread")
    assert "hello bread" in said
    assert "hello ships" in said
    recipe.write_text(yaml.safe_dump({"title": "greetings", "stages": [{"greet": {"nam": "birds"}}]}))
    assert main(["run", str(recipe), "--output", str(tmp_path / "other")]) == 2
