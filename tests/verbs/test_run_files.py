"""The small files of an output folder: several may write them at once, and nobody stumbles over what others left."""

from __future__ import annotations

import html
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lightning_untrac.runs.discard import discard
from lightning_untrac.runs.run_files import DamagedFileError, DamageWarning, RunFiles
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.tables import InfluenceRow, InfluenceStore
from lightning_untrac.tables.locking import locked


def test_several_writers_lose_nothing(tmp_path):
    def write(number):
        files = RunFiles(tmp_path)
        files.add_notes("info", [f"note {number}"])
        files.add_cost({"step": f"step {number}", "seconds": 1.0, "peak_memory_mb": 2.0})
        files.add_to_run(endings={f"stage {number}": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    files = RunFiles(tmp_path)
    assert {note["text"] for note in files.notes()} == {f"note {number}" for number in range(24)}
    assert {cost["step"] for cost in files.facts()["costs"]} == {f"step {number}" for number in range(24)}
    assert files.facts()["endings"] == {f"stage {number}": number for number in range(24)}


def test_a_reader_that_mends_does_not_undo_what_a_writer_wrote(tmp_path):
    files = RunFiles(tmp_path)
    files.update_run(title="old")
    (tmp_path / "run.json").write_text("{")
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path):
            reader = pool.submit(lambda: RunFiles(tmp_path).facts())
            with pytest.raises(TimeoutError):  # it has seen the damage, and waits
                reader.result(0.3)
            with pytest.warns(DamageWarning, match=r"written again from the copy"):
                files.update_run(title="new")
        assert reader.result()["title"] == "new"
    assert files.facts()["title"] == "new"


def test_a_sound_file_is_not_moved_away(tmp_path):
    """Two find the same damage; one moves the file and writes a new one before the other comes to it."""
    (tmp_path / "run.json").write_text("{")
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path):
            reader = pool.submit(lambda: RunFiles(tmp_path).facts())
            with pytest.raises(TimeoutError):
                reader.result(0.3)
            with pytest.warns(DamageWarning, match=r"moved to run.json.damaged"):
                RunFiles(tmp_path).update_run(title="new")
        assert reader.result()["title"] == "new"
    assert sorted(path.name for path in tmp_path.glob("run.json*")) == ["run.json", "run.json.damaged"]


def test_what_is_discarded_takes_nothing_of_others_with_it(tmp_path):
    def row(method, number):
        return InfluenceRow(
            method=method, corpus="news", test_set="bias", seed=number, step=1, final=True, influence=0.5
        )

    def work(number):
        store = InfluenceStore(tmp_path)
        for turn in range(3):
            store.append([row("stays", 10 * number + turn)])
            store.write_episode(f"gone_{number}", "news", turn, [row(f"gone_{number}", turn)])
            discard(tmp_path, tmp_path / ".untrac", f"trace-gone_{number}", {})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    rows = InfluenceStore(tmp_path).rows()
    assert {(found.method, found.seed) for found in rows} == {
        ("stays", 10 * number + turn) for number in range(4) for turn in range(3)
    }


def test_a_lock_inside_itself(tmp_path):
    with locked(tmp_path), locked(tmp_path / "." / ".." / tmp_path.name):
        RunFiles(tmp_path).add_notes("info", ["inside"])
    assert RunFiles(tmp_path).notes() == [{"level": "info", "text": "inside"}]


def test_fields_of_another_type_are_passed_over(tmp_path):
    content = {
        "title": 5,
        "data": [7, {"name": "a", "role": "corpus"}],
        "costs": "none",
        "versions": [],
        "asked": "who?",
    }
    (tmp_path / "run.json").write_text(json.dumps(content))
    (tmp_path / "notes.json").write_text('[3, {"level": "info", "text": "kept"}]')
    files = RunFiles(tmp_path)
    assert files.facts() == {"data": [{"name": "a", "role": "corpus"}], "asked": "who?"}
    assert files.notes() == [{"level": "info", "text": "kept"}]
    files.add_cost({"step": "trace", "seconds": 1.0, "peak_memory_mb": 2.0})
    assert [cost["step"] for cost in files.facts()["costs"]] == ["trace"]


def test_a_file_without_a_copy_says_what_to_do(tmp_path):
    (tmp_path / "card.json").write_text("[1]")
    with pytest.raises(DamagedFileError, match="it holds a list where a dict was expected"):
        RunFiles(tmp_path).read_json("card.json", {})
    assert RunFiles(tmp_path).read_json("card.json", None) == [1]
    assert RunFiles(tmp_path).read_json("missing.json", {"a": 1}) == {"a": 1}


def test_the_report_shows_each_steps_own_command(untrac, config, tmp_path, monkeypatch):
    def go(*arguments):
        monkeypatch.setattr("sys.argv", ["untrac", *map(str, arguments)])
        ran = untrac(*arguments)
        assert ran.code == 0, ran.text

    common = ("--config", config(), "--output", tmp_path / "out")
    go("evaluate", *common)
    go("trace", *common, "--method", "untrac", "--steps", "1")
    go("unlearn", *common, "--forget", "birds", "--steps", "1")
    go("report", "--output", tmp_path / "out")
    commands = json.loads((tmp_path / "out" / "run.json").read_text())["commands"]
    assert [step for step in commands if step != "report"] == ["evaluate", "trace-untrac", "unlearn-birds"]
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    for step in ("evaluate", "trace-untrac", "unlearn-birds"):
        assert f"<pre>{commands[step]}</pre>" in page
        assert f"untrac {step.partition('-')[0]} --config" in commands[step]
    assert "--forget birds" in commands["unlearn-birds"]


def test_a_claim_that_another_rank_writes_meanwhile_is_no_damaged_one(tmp_path, monkeypatch):
    """Ranks check the folder before they meet; a rank that ended here had the other wait for it."""
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)

    def done(stage):
        first.claim(stage, {}, {"steps": 3})
        return

    monkeypatch.setattr(second, "done", done)
    assert second.problems("unlearn-birds", {"steps": 3}) == []
    (tmp_path / ".untrac" / "unlearn-birds.claim.json").write_text("{")
    (problem,) = RunFolder(tmp_path).problems("unlearn-birds", {"steps": 3})
    assert "can't be read" in problem
