import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lightning_untrac.results import compare, influence_intervals, influence_matrix, write_report
from lightning_untrac.results.doubts import doubts
from lightning_untrac.results.narrative import answers, headline_method
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.style import format_number
from lightning_untrac.tables import InfluenceStore, ResultsError, write_table

NASTY = '<script>alert("1")</script>'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Checker(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    checker = Checker()
    checker.feed(path.read_text(encoding="utf-8"))
    checker.close()
    assert checker.open == []
    return checker


def fill(folder, rows):
    store = InfluenceStore(folder)
    store.append(rows)
    return store


@pytest.fixture
def full(tmp_path, make_rows):
    rows = make_rows(corpora=("forum", NASTY, "wiki"), flagged=[("untrac", "wiki", "collapsed")])
    store = fill(tmp_path, rows)
    write_table(tmp_path / "comparison.parquet", compare(rows, num_resamples=50))
    store.append_examples(
        {
            "method": "untrac_inv",
            "corpus": NASTY,
            "test_set": "bias",
            "seed": 0,
            "example": i,
            "content_hash": f"{i:064x}",
            "num_tokens": 5,
            "influence": float(i),
            "status": "ok",
        }
        for i in range(30)
    )
    run = {
        "title": f"Trace of {NASTY}",
        "asked": "Which corpus? See https://example.com/x.js",
        "command": "untrac run 'a' && true",
        "versions": {"torch": "2.13"},
        "costs": [{"step": "trace", "seconds": 75.0, "peak_memory_mb": 1234.5}],
        "data": [{"name": NASTY, "role": "corpus", "num_examples": 4000, "truncated": True, "source": "hf://x"}],
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "notes.json").write_text(json.dumps([{"level": "error", "text": f"bad {NASTY}"}, {"text": "cut"}]))
    (tmp_path / "config.yaml").write_text(f"name: {NASTY}\n")
    return tmp_path


def test_report_is_one_file_that_loads_and_runs_nothing(full):
    path = write_report(full)
    assert path == full / "report.html"
    page = read(path)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "data", "action", "poster"):
            assert value.startswith(("data:image/png;base64,", "#"))
        assert "url(" not in value
    style = re.search(r"<style>(.*?)</style>", path.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in style
    anchors = {value for tag, name, value in page.attributes if tag == "section" and name == "id"}
    assert {value[1:] for tag, name, value in page.attributes if tag == "a"} <= anchors
    assert page.tags.count("img") == 7


def test_everything_is_in_it_and_escaped(full):
    path = write_report(full)
    text = "".join(read(path).text)
    assert "<script" not in path.read_text(encoding="utf-8")
    for wanted in (
        f"Trace of {NASTY}",
        "untrac run 'a' && true",
        f"name: {NASTY}",
        f"bad {NASTY}",
        "https://example.com/x.js",
        "4,000",
        "75 s",
        "1,234 MiB",
        "2.13",
        "fewer than three",
        "made the model collapse",
        "no verdict from UnTrac, because UnTrac made the model collapse for",
        "Retraining finds",
        f"{29:064x}"[:16],
    ):
        assert wanted in text, wanted
    order = [
        text.index(h)
        for h in ("no verdict from UnTrac", "What was asked", "Influence of each corpus", "Against retraining")
    ]
    assert order == sorted(order)


def test_small_report_and_same_bytes_again(tmp_path, make_rows):
    parts = {name: [1.0, 2.0, 4.0] for name in ("part_losses_before", "part_losses_after", "part_weights")}
    rows = make_rows(methods=("untrac",), seeds=(0,), steps=(8,))
    fill(tmp_path, [dataclasses.replace(row, **parts) for row in rows])
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    text = "".join(read(tmp_path / "report.html").text)
    assert "One seed only for UnTrac" in text
    assert "No retraining was run" in text
    assert "Over the steps" not in text


def test_damaged_or_missing_files_are_named(tmp_path, rows):
    with pytest.raises(ResultsError, match=r"no influences \(influence.parquet\) and no measurements"):
        write_report(tmp_path)
    fill(tmp_path, rows)
    (tmp_path / "notes.json").write_text("{")
    with pytest.raises(ResultsError, match=r"notes\.json cannot be read"):
        write_report(tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"notes\.json holds a dict"):
        write_report(tmp_path)


def test_answers(rows, make_rows):
    matrix = influence_matrix(rows, "untrac")
    sentence = plain(answers(matrix)[0])
    value = matrix.values[0, 0]
    assert sentence.startswith("`toxicity` comes most from `forum`: unlearning it raises the loss by ")
    assert f"{value:.3f} nats per token" in sentence
    name, second = matrix.runner_up("toxicity")
    assert f"{value / second:.1f} times the next, `{name}`." in sentence
    negative = influence_matrix(make_rows(scale=-0.1, corpora=("forum",)), "untrac")
    assert "comes from none of the corpora" in plain(answers(negative)[0])
    lost = influence_matrix(make_rows(corpora=("forum",), flagged=[("untrac", "forum", "nonfinite")]), "untrac")
    assert "no verdict from UnTrac, because UnTrac gave losses that are not finite for `forum`" in plain(
        answers(lost)[0]
    )
    assert headline_method(["leave_out"]) == "leave_out"


def test_a_method_without_intervals_says_so(tmp_path, make_rows):
    fill(tmp_path, make_rows(methods=("untrac",), seeds=(0,), steps=(8,)))
    write_report(tmp_path)
    text = "".join(read(tmp_path / "report.html").text)
    assert "No intervals for UnTrac" in text
    assert "What can be told apart" not in text


def test_what_can_be_told_apart_is_said_first_and_has_a_section(tmp_path, make_rows):
    rows = make_rows(seeds=(0, 1, 2))
    fill(tmp_path, [dataclasses.replace(r, influence=r.influence + (r.corpus == "news") * 0.4) for r in rows])
    write_report(tmp_path)
    text = "".join(read(tmp_path / "report.html").text)
    assert "comes most from news or forum, which cannot be told apart" in text
    assert text.index("Influence of each corpus") < text.index("What can be told apart") < text.index("Over the steps")
    assert "95 % intervals from 3 seeds" in text


def test_doubts_name_disagreement_and_noise(make_rows):
    rows = [
        dataclasses.replace(r, influence=5.0 + r.seed) if (r.method, r.corpus) == ("leave_out", "wiki") else r
        for r in make_rows()
    ]
    said = [plain(sentence) for _, sentence in doubts([influence_matrix(rows, m) for m in ("untrac", "leave_out")])]
    assert any("disagree" in s and "`forum` (UnTrac)" in s and "`wiki` (Leave-out retraining)" in s for s in said)
    noisy = [dataclasses.replace(r, influence=r.influence + 10 * r.seed) for r in make_rows()]
    said = [plain(sentence) for _, sentence in doubts([influence_matrix(noisy, "untrac")])]
    assert any("differ by less than the seeds do" in s for s in said)


def test_retraining_settles_what_other_methods_dispute(make_rows):
    rows = make_rows(methods=("untrac", "leave_out"))
    other = [
        dataclasses.replace(r, method="graddot", influence=9.0 if r.corpus == "wiki" else 0.0)
        for r in rows
        if r.method == "untrac"
    ]
    mine, truth = (influence_matrix(rows, method) for method in ("untrac", "leave_out"))
    against = influence_matrix(other, "graddot")
    settled = plain(answers(mine, truth, [against])[0])
    assert "No clear answer" not in settled
    assert settled.endswith("Retraining finds the same corpus. Other methods disagree: GradDot says `wiki`.")
    assert plain(answers(mine, None, [against])[0]).startswith("No clear answer: GradDot says `wiki`. UnTrac says: ")


def test_a_truth_that_knows_nothing_confirms_nothing(make_rows):
    rows = make_rows(seeds=(0, 1, 2))
    rng = np.random.default_rng(0)
    noise = [dataclasses.replace(r, influence=float(rng.normal())) for r in rows]
    truth = influence_matrix(noise, "leave_out")
    chance = influence_intervals(noise, "leave_out")
    assert not chance.tells_apart("toxicity")
    said = plain(answers(influence_matrix(rows, "untrac"), truth, [], None, chance)[0])
    assert said.endswith("Retraining cannot tell the corpora apart.")


def test_a_method_that_failed_its_self_check_is_not_the_headline():
    assert headline_method(["untrac", "graddot"], failed={"untrac"}) == "graddot"
    assert headline_method(["untrac", "continuation"], failed={"untrac"}) == "continuation"
    assert headline_method(["untrac"], failed={"untrac"}) == "untrac"


def test_what_each_method_does_and_the_losses_before_are_said(full):
    write_report(full)
    text = "".join(read(full / "report.html").text)
    assert "Unlearns one corpus at a time by gradient ascent" in text
    assert "Trains the model anew without one corpus at a time" in text
    assert "Losses before" in text
    assert "loss of the trained model" in text


def test_a_stage_that_never_finished_says_so(full):
    (full / "trace-untrac.yaml").write_text("a: 1")
    write_report(full, stages={"trace": True, "trace-untrac": False})
    page = (full / "report.html").read_text(encoding="utf-8")
    assert page.count("not finished") >= 2
    write_report(full, stages={"trace": True, "trace-untrac": True})
    assert 'class="unfinished"' not in (full / "report.html").read_text(encoding="utf-8")


def test_texts_are_shown_and_escaped(full):
    run = json.loads((full / "run.json").read_text())
    run["data"][0]["texts"] = [f"a text {NASTY}"]
    (full / "run.json").write_text(json.dumps(run))
    write_report(full)
    assert "<script" not in (full / "report.html").read_text(encoding="utf-8")
    assert f"a text {NASTY}" in "".join(read(full / "report.html").text)


def test_a_large_report_is_small_and_loses_no_cell(tmp_path, make_rows):
    corpora, test_sets = [f"corpus-{i:03d}" for i in range(120)], [f"test-{j:02d}" for j in range(10)]
    rows = make_rows(methods=("untrac",), corpora=corpora, test_sets=test_sets, seeds=(0, 1, 2))
    fill(tmp_path, rows)
    path = write_report(tmp_path)
    assert path.stat().st_size < 1.5e6
    page = read(path)
    text = "".join(page.text)
    matrix = influence_matrix(rows, "untrac")
    for j, test_set in enumerate(test_sets):
        listed = text.split(f"{test_set}corpus-")[-1] if f"{test_set}corpus-" in text else text
        scale = max(abs(matrix.values[:, j]))
        for i, corpus in enumerate(corpora):
            assert f"{corpus}  {format_number(float(matrix.values[i, j]), scale)}" in text
        assert listed
    assert "All 1,200 influences" in text
