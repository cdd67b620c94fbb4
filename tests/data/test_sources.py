import csv
import gzip
import json
import time

import pytest

from lightning_untrac.data import DatasetConfig
from lightning_untrac.data.cells import as_text
from lightning_untrac.data.sources import expand
from lightning_untrac.errors import ConfigurationError

AWKWARD = [
    "plain",
    'quoted "words", and a comma',
    "two\nlines",
    "tab\there",
    "007",
    "1.0",
    "NA",
    "null",
    "true",
    "2020-01-01",
    "12:30:00",
    "  kept spaces ",
    "é 日本 \u2028 🙂",
    "1e400",
]


def load(path, **fields):
    (pair,) = expand([DatasetConfig(str(path), **{"name": "x", **fields})])
    return pair[1]


def problems(path, **fields):
    with pytest.raises(ConfigurationError) as caught:
        expand([DatasetConfig(str(path), **{"name": "x", **fields})])
    return caught.value.problems


def write(path, content):
    if isinstance(content, str):
        content = content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_rows(path, texts):
    """The same rows in the format of the path's ending, with another column beside them."""
    rows = [{"n": i, "text": text} for i, text in enumerate(texts)]
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1].lower()
    if kind in ("jsonl", "ndjson"):
        return write(path, json_lines(rows))
    if kind == "json":
        return write(path, json.dumps(rows, indent=1))
    if kind == "parquet":
        import pandas as pd

        pd.DataFrame(rows).to_parquet(path)
        return path
    plain = path.with_name("plain")
    with plain.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["n", "text"], delimiter="\t" if kind == "tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return write(path, plain.read_bytes())


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.ndjson", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.csv.gz", "A.CSV", "a.b.jsonl"],
)
def test_text_comes_back_to_the_letter(tmp_path, name):
    rows = load(write_rows(tmp_path / name, AWKWARD))
    assert rows.column_names == ["text"]
    assert rows["text"][:] == AWKWARD


@pytest.mark.parametrize("name", ["a.txt", "a.text", "a.md", "a.txt.gz"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_plain_text(tmp_path, name, newline):
    path = write(tmp_path / name, newline.join(["a b", "c\x0bd\u2028e", "", "", "f"]))
    assert load(path)["text"][:] == ["a b", "c\x0bd\u2028e", "f"]  # a blank line is no example
    assert load(path, sample_by="paragraph")["text"][:] == ["a b\nc\x0bd\u2028e", "f"]
    assert load(path, sample_by="document")["text"][:] == ["a b\nc\x0bd\u2028e\n\n\nf"]


def test_json_numbers_keep_their_digits(tmp_path):
    path = write(
        tmp_path / "a.jsonl", '{"text": 1.0}\n{"text": 12345678901234567890123}\n{"text": true}\n{"text": "x"}\n'
    )
    assert load(path)["text"][:] == ["1.0", "12345678901234567890123", "true", "x"]


def test_columns_that_only_later_rows_have(tmp_path):
    filler = [{"other": "o" * 100, "keep": "no"}] * 2000
    path = write(tmp_path / "a.jsonl", json_lines([*filler, {"text": "late", "keep": "yes"}]))
    assert load(path, where={"keep": "yes"})["text"][:] == ["late"]
    (problem,) = problems(path)
    assert "column 'text' is missing in 2000 rows, first in row 1" in problem


def test_json_with_objects_under_a_jsons_ending(tmp_path):
    assert load(write(tmp_path / "a.json", '{"text": "a"}\n{"text": "b"}\n'))["text"][:] == ["a", "b"]
    assert load(write(tmp_path / "b.json", '{"text":\n "a"}'))["text"][:] == ["a"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_a_byte_order_mark_is_no_text(tmp_path, name):
    content = {"a.csv": "text,n\na,1\n", "a.jsonl": '{"text": "a"}\n', "a.txt": "a"}[name]
    assert load(write(tmp_path / name, b"\xef\xbb\xbf" + content.encode()))["text"][:] == ["a"]


def test_an_edited_file_is_read_again(tmp_path):
    path = write(tmp_path / "a.jsonl", json_lines([{"text": "old"}]))
    assert load(path)["text"][:] == ["old"]
    time.sleep(0.02)
    write(path, json_lines([{"text": "new"}]))
    assert load(path)["text"][:] == ["new"]


def test_folders_and_patterns(tmp_path):
    for name in ("b/2.jsonl", "a/1.jsonl", ".git/0.jsonl", "c/3.jsonl.gz"):
        write(tmp_path / "d" / name, json_lines([{"text": name}]))
    write(tmp_path / "d" / "README.md", "about")
    assert load(tmp_path / "d")["text"][:] == ["a/1.jsonl", "b/2.jsonl", "c/3.jsonl.gz"]
    assert load(tmp_path / "d" / "*" / "*.jsonl")["text"][:] == ["a/1.jsonl", "b/2.jsonl"]
    assert load(tmp_path / "d" / "**" / "*.jsonl*")["text"][:] == ["a/1.jsonl", "b/2.jsonl", "c/3.jsonl.gz"]


def test_a_path_with_brackets_is_a_file_first(tmp_path):
    assert load(write(tmp_path / "a[1].txt", "x"))["text"][:] == ["x"]


def test_saved_datasets(tmp_path):
    from datasets import Dataset, DatasetDict

    one, other = Dataset.from_dict({"t": ["a", "b"]}), Dataset.from_dict({"t": ["c"]})
    one.save_to_disk(str(tmp_path / "one"))
    DatasetDict(train=one, test=other).save_to_disk(str(tmp_path / "both"))
    assert load(tmp_path / "one", text="t")["text"][:] == ["a", "b"]
    assert load(tmp_path / "both", text="t", split="test")["text"][:] == ["c"]
    (problem,) = problems(tmp_path / "both", text="t", split="dev")
    assert "no split 'dev'; there are train, test" in problem


def test_other_types_become_text(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("int64"), "label": ClassLabel(names=["neg", "pos"])})
    Dataset.from_dict({"text": [7, 10], "label": [1, 0]}, features=features).save_to_disk(str(tmp_path / "d"))
    rows = load(tmp_path / "d", prompt="text", target="label")
    assert rows[:] == {"prompt": ["7", "10"], "target": ["pos", "neg"]}
    assert load(tmp_path / "d", where={"label": "pos"})["text"][:] == ["7"]


@pytest.mark.parametrize(
    ("prompt", "target"), [("p", "t"), ("target", "prompt"), ("prompt", "target"), ("text", "t"), ("t", "prompt")]
)
def test_column_names_are_free(tmp_path, prompt, target):
    path = write(tmp_path / "a.csv", f"{prompt},{target},other\nP,T,O\n")
    assert load(path, prompt=prompt, target=target)[:] == {"prompt": ["P"], "target": ["T"]}


def test_where_and_split_by(tmp_path):
    rows = [
        {"text": f"{part}{lang}{i}", "part": part, "lang": lang} for i in range(3) for part in "ba" for lang in (1, 2)
    ]
    path = write(tmp_path / "a.jsonl", json_lines(rows))
    config = DatasetConfig(str(path), name="x", where={"lang": 2}, split_by="part")
    found = {entry.name: data["text"][:] for entry, data in expand([config])}
    assert found == {"x-a": ["a20", "a21", "a22"], "x-b": ["b20", "b21", "b22"]}
    assert [entry.name for entry, _ in expand([DatasetConfig(str(path), split_by="part")])] == ["a", "b"]
    assert all(entry.split_by is None for entry, _ in expand([config]))


def test_a_transform_reads_files_too(tmp_path):
    row = {"prompt_label": 1.0, "generation": "word " * 10, "group": "women"}
    for path in (
        write(tmp_path / "a.jsonl", json_lines([row])),
        write(tmp_path / "b.csv", f"{','.join(row)}\n1.0,{'word ' * 10},women\n"),
    ):
        ((entry, rows),) = expand([DatasetConfig(str(path), transform="toxigen", split_by="subset")])
        assert entry.name == "women"
        assert rows["text"][:] == ["word " * 10]


def test_the_papers_tables(paper_data):
    for name in ("synthetic_train00_dataset.csv", "synthetic_train10_dataset.csv"):
        config = DatasetConfig(
            str(paper_data / name), split_by="dataset", prompt="inputs_pretokenized", target="targets_pretokenized"
        )
        found = expand([config])
        assert [entry.name for entry, _ in found] == ["dataset1", "dataset2", "dataset3", "dataset4"]
        with (paper_data / name).open(newline="", encoding="utf-8") as file:
            reference = list(csv.DictReader(file))
        for entry, rows in found:
            expected = [
                (r["inputs_pretokenized"], r["targets_pretokenized"]) for r in reference if r["dataset"] == entry.name
            ]
            assert len(expected) == 256
            assert list(zip(rows["prompt"], rows["target"], strict=True)) == expected


def test_builtin_datasets_split_and_count_like_others():
    whole = load("builtin:next_number/test", prompt="prompt", target="target")
    parts = expand(
        [DatasetConfig("builtin:next_number/test", prompt="prompt", target="target", split_by="subset", num_examples=2)]
    )
    assert len(parts) > 1
    assert sum(len(rows) for _, rows in parts) == len(whole)
    assert len(load("builtin:next_number/test", prompt="prompt", target="target", num_examples=3)) == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n{"text": "c"}\n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", '{"text": "a"}\n\n[1]\n', "a.jsonl, line 3: not a JSON object but a list"),
        ("a.jsonl.gz", '{"text": "a"}\nnonsense\n', "a.jsonl.gz, line 2: not valid JSON"),
        ("a.jsonl", '{"text": "a"}\n{"text": {"b": 1}}\n', "a.jsonl, line 2: holds a dict where text was expected"),
        ("a.jsonl", '{"text": "a"}\n{"text": "\\ud800"}\n', "a.jsonl, line 2: half of a surrogate pair"),
        ("a.json", '[{"text": "a"},\n {"text" "b"}]', "a.json, line 2: not valid JSON"),
        ("a.json", '["a"]', "a.json, item 1: not a JSON object but a str"),
        ("a.json", '"a"', "holds a str; expected a list of objects"),
        ("a.csv", "text,n\na,1\nb,1,2\n", "a.csv, line 3: 3 fields where the header has 2"),
        ("a.csv", "text,n\na,1,2\n", "a.csv, line 2: 3 fields where the header has 2"),
        ("a.csv", "text,n\na,1\nb\n", "a.csv, line 3: 1 fields where the header has 2"),
        ("a.csv", 'text,n\n"a,1\nb,2\n', "not valid CSV"),
        ("a.csv", "text,text\na,b\n", "the header names 'text' more than once"),
        ("a.csv", "text,n\n", "has no rows"),
        ("a.jsonl", "\n\n", "has no rows"),
        ("a.csv", "words,n\na,1\n", "has no column 'text'; there are words, n"),
        ("a.csv", b"text,n\na,1\n\xe4,2\n", "a.csv, line 3: not UTF-8 text"),
        ("a.txt", b"a\nb\n\xe4", "a.txt, line 3: not UTF-8 text"),
        ("a.txt", "", "is empty"),
        ("a.jsonl", '{"text": null}\n', "column 'text' is missing in 1 row, first in row 1"),
        ("a.parquet", "nonsense", "can't read"),
        ("a.doc", "x", "ends in .doc; expected one kind of .jsonl"),
    ],
)
def test_bad_files(tmp_path, name, content, said):
    (problem,) = problems(write(tmp_path / name, content))
    assert problem.startswith("x: ")
    assert said in problem


def test_a_truncated_gzip_file(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", json_lines([{"text": str(i)} for i in range(5000)]))
    path.write_bytes(path.read_bytes()[:-2000])
    assert "can't be read" in problems(path)[0]


def test_many_bad_lines_are_counted(tmp_path):
    found = problems(write(tmp_path / "a.jsonl", '{"text": "a"}\n' + "x\n" * 50))
    assert len(found) == 4
    assert "line 2" in found[0]
    assert "47 more" in found[3]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nothing.jsonl", "does not exist"),
        (lambda folder: folder / "*.csv", "matches"),
        (lambda folder: folder, "holds no file ending in"),
        (
            lambda folder: write(folder / "a.csv", "text\na\n").parent if write(folder / "b.txt", "b") else None,
            ".csv, .txt",
        ),
    ],
)
def test_bad_paths(tmp_path, make, said):
    (problem,) = problems(make(tmp_path))
    assert said in problem


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"where": {"s": "q"}}, "no row has s = 'q'; check `where`"),
        ({"where": {"q": "1"}}, "has no column 'q'"),
        ({"split_by": "q"}, "has no column 'q'"),
        ({"split_by": "s"}, "gives the name 'x-a/b', which can't be a file name"),
        ({"split_by": "part"}, "column 'part' is missing in 1 row, first in row 2"),
        ({"transform": "toxigen"}, "needs a column 'prompt_label'"),
        ({"path": "builtin:nothing"}, "no built-in dataset 'nothing'"),
    ],
)
def test_bad_choices(tmp_path, fields, said):
    path = write(tmp_path / "a.jsonl", json_lines([{"text": "t", "s": "a/b", "part": "p"}, {"text": "u", "s": "c"}]))
    (problem,) = problems(fields.pop("path", path), **fields)
    assert said in problem


def test_all_datasets_problems_come_at_once(tmp_path):
    configs = [DatasetConfig(str(tmp_path / f"{name}.txt"), name=name) for name in "abc"]
    with pytest.raises(ConfigurationError) as caught:
        expand(configs)
    assert [problem[0] for problem in caught.value.problems] == ["a", "b", "c"]


def test_a_hub_id_without_a_network_is_one_clear_line(monkeypatch):
    import datasets
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    begin = time.monotonic()
    (problem,) = problems("somebody/some-dataset")
    assert time.monotonic() - begin < 5
    assert problem.startswith("x: 'somebody/some-dataset' is neither a file or folder here nor loadable from the hub (")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("cell", "text"), [(None, None), (True, "true"), (False, "false"), (1, "1"), ("x", "x"), (1.5, "1.5")]
)
def test_as_text(cell, text):
    assert as_text(cell) == text
