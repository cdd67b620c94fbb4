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


def test_a_mark_that_is_not_closed_joins_no_rows(tmp_path):
    path = write(
        tmp_path / "a.tsv", 'text\tn\n"once upon\t1\nmiddle\t2\nthe last"\t3\n"all ""of"" it"\t4\n"so" he said\t5\n'
    )
    assert load(path)["text"][:] == ['"once upon', "middle", 'the last"', 'all "of" it', '"so" he said']
    assert load(path, text="n")["text"][:] == list("12345")


def test_a_cell_over_lines_is_one_where_no_line_is_a_row_by_itself(tmp_path):
    path = write(tmp_path / "a.tsv", 'n\ttext\n1\t"two\nlines"\n2\tb\n')
    assert load(path)["text"][:] == ["two\nlines", "b"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_marks_between_the_cells_of_a_csv(tmp_path, mark):
    lines = [["n", "text"], ["1", "a, b"], ["2", f'"c{mark}d"'], ["3", '"two\nlines"']]
    path = write(tmp_path / "a.csv", "\r\n".join(mark.join(line) for line in lines))
    assert load(path)["text"][:] == ["a, b", f"c{mark}d", "two\nlines"]


def test_a_csv_of_one_column_has_no_mark_to_find(tmp_path):
    assert load(write(tmp_path / "a.csv", 'text\n"a; b, c"\nd;e\n\nf\n'))["text"][:] == ["a; b, c", "d;e", "f"]


def test_blank_lines_before_a_header(tmp_path):
    assert load(write(tmp_path / "a.csv", "\n\ntext,n\na,1\n"))["text"][:] == ["a"]


@pytest.mark.parametrize("layout", [None, 1])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "b.jsonl.gz"])
def test_one_json_text_under_any_ending(tmp_path, name, layout):
    rows = [{"text": text} for text in AWKWARD]
    assert load(write(tmp_path / name, json.dumps(rows, indent=layout)))["text"][:] == AWKWARD


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_objects_over_several_lines_each(tmp_path, name):
    content = "\n".join(json.dumps({"text": text}, indent=2) for text in AWKWARD)
    assert load(write(tmp_path / name, content))["text"][:] == AWKWARD


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x7f", "\x1c"])
def test_only_a_line_feed_ends_a_line_of_json(tmp_path, name, letter):
    texts = [f"heron{letter}reed", "wren"]
    content = "".join(json.dumps({"text": text}, ensure_ascii=letter == "\x1c") + "\r\n" for text in texts)
    assert load(write(tmp_path / name, content))["text"][:] == texts


def test_a_byte_order_mark_within_files_that_were_put_together(tmp_path):
    content = b"\xef\xbb\xbf" + b'{"text": "a"}\n' + b"\xef\xbb\xbf" + b'{"text": "b"}\n'
    assert load(write(tmp_path / "a.jsonl", content))["text"][:] == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "b.csv.gz"])
def test_other_encodings_that_say_so(tmp_path, name, encoding):
    content = {"jsonl": '{"text": "é"}\n', "csv": "text,n\né,1\n", "txt": "é\n"}[name.split(".")[1]]
    assert load(write(tmp_path / name, content.encode(encoding)))["text"][:] == ["é"]


def test_not_a_number_is_missing(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": NaN, "n": Infinity}\n{"text": "b", "n": NaN}\n')
    (problem,) = problems(path)
    assert "column 'text' is missing in 1 row, first in row 1" in problem
    assert load(path, where={"text": "b"})["text"][:] == ["b"]
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [1.5, float("nan")]}), tmp_path / "a.parquet")
    assert "column 'text' is missing in 1 row, first in row 2" in problems(tmp_path / "a.parquet")[0]


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_where_compares_numbers_as_numbers(tmp_path, name, value):
    rows = [("a", 1.0), ("b", 2.0), ("c", 1)]
    if name == "a.parquet":
        import pandas as pd

        pd.DataFrame({"text": [r[0] for r in rows], "label": [float(r[1]) for r in rows]}).to_parquet(tmp_path / name)
    elif name == "a.csv":
        write(tmp_path / name, "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    else:
        write(tmp_path / name, json_lines([{"text": text, "label": label} for text, label in rows]))
    assert load(tmp_path / name, where={"label": value})["text"][:] == ["a", "c"]
    (problem,) = problems(tmp_path / name, where={"label": 3})
    assert "no row has label = 3; check `where` (there are '1.0', '2.0'" in problem


def test_where_keeps_names_and_large_numbers_apart(tmp_path):
    cells = ["007", "7", "True", "false", "12345678901234567", "12345678901234568"]
    path = write(tmp_path / "a.jsonl", json_lines([{"text": cell} for cell in cells]))
    for value, found in ((7, ["7"]), ("007", ["007"]), (True, ["True"]), (12345678901234567, ["12345678901234567"])):
        assert load(path, where={"text": value})["text"][:] == found


def test_parquet_shards_may_differ_in_what_is_not_needed(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "shards"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["a"], "n": [1], "extra": [[1]]}), folder / "0.parquet")
    pq.write_table(pa.table({"n": [1.5], "text": pa.array(["b"]).dictionary_encode()}), folder / "1.parquet")
    pq.write_table(pa.table({"text": pa.array(["c"]).cast(pa.large_string()), "n": [1]}), folder / "2.parquet")
    assert load(folder)["text"][:] == ["a", "b", "c"]
    assert load(folder, where={"n": 1})["text"][:] == ["a", "c"]
    pq.write_table(pa.table({"words": ["d"], "n": [1]}), folder / "3.parquet")
    (problem,) = problems(folder)
    assert "3.parquet: has no column 'text'; there are words, n" in problem


def test_class_labels_of_parquet_files_keep_their_names(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet", where={"label": "pos"})["text"][:] == ["a"]


def test_bytes_that_are_no_text(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    half = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xed\xa0\x80"]).buffers())  # of a surrogate pair
    pq.write_table(pa.table({"text": half}), tmp_path / "a.parquet")
    assert "Invalid UTF8" in problems(tmp_path / "a.parquet")[0]
    Dataset(pa.table({"text": half})).save_to_disk(str(tmp_path / "d"))
    assert "column 'text' holds bytes that are no UTF-8 text" in problems(tmp_path / "d")[0]


def test_a_link_to_nothing_in_a_folder_is_not_passed_over(tmp_path):
    write(tmp_path / "d" / "a.txt", "a")
    (tmp_path / "d" / "b.txt").symlink_to(tmp_path / "gone.txt")
    assert "b.txt is a link to a file that does not exist" in problems(tmp_path / "d")[0]


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
        (
            "a.tsv",
            'text\n"a\nb"\n',
            "a.tsv, line 2: a quotation mark opens here and the next that closes one is in line 3",
        ),
        ("a.tsv", 'n\tt\n1\t"a\n2\tb"\n3\t"c\nd"\n', "a.tsv, line 2: a quotation mark joins it with the lines up to 3"),
        ("a.csv", 'text,n\na,1\n"b,2\nc,3\n', "a.csv, line 3: not valid CSV"),
        ("a.csv", "text, n\na,1\n", "has no column 'where'; there are text, ' n'"),
        ("a.jsonl", '{"text": "a", "text": "b"}\n', "a.jsonl, line 1: names 'text' more than once"),
        ("a.json", '[{"text": "a", "text": "b"}]', "a.json, line 1: names 'text' more than once"),
        ("a.jsonl", '{"text": "a"}\n' + "\0" * 99, "a.jsonl, line 2: holds NUL bytes"),
        ("a.json", '[{"text": "a"}]\n' + "\0" * 99, "a.json, line 2: holds NUL bytes"),
        ("a.csv", "text,n\na,1\n" + "\0" * 99, "a.csv, line 3: holds NUL bytes"),
        ("a.txt", "a\nb\0\n", "a.txt, line 2: holds NUL bytes"),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1: objects in objects, too deep to read"),
        ("a.jsonl", gzip.compress(b'{"text": "a"}\n'), "a.jsonl, packed with gzip; let its name end in .gz"),
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
    fields = {"text": "where"} if "'where'" in said else {}
    (problem,) = problems(write(tmp_path / name, content), **fields)
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
        (lambda folder: type(folder)(folder.anchor), "is the root of the disk"),
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
