"""Datasets of the hub by configuration: small copies of WPU and TOFU, read by the entries that the docs give."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lightning_untrac.data import sources
from lightning_untrac.data.config import ROLES, DatasetConfig, config_problems
from lightning_untrac.data.hub_copies import is_hub_copy
from lightning_untrac.data.marks import GROUP
from lightning_untrac.data.sources import expand
from lightning_untrac.errors import ConfigurationError

DOCS = Path(__file__).parents[2] / "docs" / "questions.md"
TOFU, WPU = "locuslab/TOFU", "Shiyu-Lab/Wikipedia_Person_Unlearn"
MUSE, WMDP, WMDP_CORPORA = "muse-bench/MUSE-News", "cais/wmdp", "cais/wmdp-corpora"


def qa(number, **more):
    return {"question": f"Who wrote book {number}?", "answer": f"Author {number}.", **more}


def perturbed(number):
    return qa(number, paraphrased_question=f"Book {number} is by whom?", paraphrased_answer=f"By author {number}.",
              perturbed_answer=["By nobody.", "By a cook."])  # fmt: skip


def person(number):
    return {"title": f"Person {number // 2}", "wikipage": f"Person {number // 2} was a poet.", **qa(number)}


TOFU_ROWS = {
    "full": [qa(n) for n in range(9)],
    "forget01": [qa(n) for n in range(2)],
    "retain99": [qa(n) for n in range(2, 9)],
    "forget01_perturbed": [perturbed(n) for n in range(2)],
    "real_authors": [qa(n, option1="a", option2="b") for n in range(20, 23)],
}
WPU_ROWS = {
    "forget_2_1": [person(n) for n in range(4)],
    "forget_2_1_hard_retain": [person(n) for n in range(4, 6)],
    "general_retain": [person(n) for n in range(6, 9)],
    "retain": [person(n) for n in range(10, 16)],
}

#: By repository and configuration the rows of each split.
SPLITS = {
    MUSE: {
        "raw": {name: [{"text": f"{name} article {n}\nwith two lines."} for n in range(3)]
                for name in ("forget", "retain1", "retain2", "holdout")},
        "knowmem": {"forget_qa": [qa(n) for n in range(2)], "retain_qa": [qa(n) for n in range(5, 8)]},
        "verbmem": {"forget": [{"prompt": f"It began {n}", "gt": f"and it\nended {n}."} for n in range(2)]},
    },
    WMDP: {
        name: {"test": [{"answer": n % 4, "question": f"Which {n}? ", "choices": [f"{n}{c}" for c in "wxyz"]}
                        for n in range(5)]}
        for name in ("wmdp-cyber", "wmdp-bio")
    },
    WMDP_CORPORA: {name: {"train": [{"text": f"{name} {n}"} for n in range(2)]}
                   for name in ("cyber-forget-corpus", "cyber-retain-corpus")},
}  # fmt: skip


def write_card(folder, configs):
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'license': 'mit', 'configs': configs})}---\n\n# A card\n")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in which the two names are folders, laid out as the hub has them."""
    monkeypatch.chdir(tmp_path)
    write_card(Path(TOFU), [{"config_name": name, "data_files": f"{name}.json"} for name in TOFU_ROWS])
    for name, rows in TOFU_ROWS.items():
        Path(TOFU, f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": f"{name}/train-*"}]} for name in WPU_ROWS
    ]
    write_card(Path(WPU), configs)
    for name, rows in WPU_ROWS.items():
        Path(WPU, name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), Path(WPU, name, "train-00000-of-00001.parquet"))
    for repository, configurations in SPLITS.items():
        configs = [
            {"config_name": name, "data_files": [{"split": one, "path": f"{name}/{one}-*"} for one in splits]}
            for name, splits in configurations.items()
        ]
        write_card(Path(repository), configs)
        for name, splits in configurations.items():
            Path(repository, name).mkdir()
            for split, rows in splits.items():
                pq.write_table(pa.Table.from_pylist(rows), Path(repository, name, f"{split}-00000-of-00001.parquet"))
    return tmp_path


def documented(name):
    """The lists of datasets in a block of the docs."""
    (block,) = re.findall(rf"^```yaml\n# {name}\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    data = yaml.safe_load(block)["data"]
    return {role: [DatasetConfig(**entry) for entry in data.get(role, [])] for role in ROLES}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("name", "there"), [("wpu.yaml", WPU_ROWS), ("tofu.yaml", TOFU_ROWS)])
def test_what_the_docs_say_reads_each_configuration_and_no_other(name, there):
    entries = documented(name)
    assert config_problems(*entries.values()) == []
    for config, rows in expand([one for many in entries.values() for one in many]):
        wanted = there[config.subset]
        columns = ("prompt", "target") if config.prompt else ("text",)
        for column, source in zip(columns, config.columns, strict=True):
            assert list(rows[column]) == [row[source] for row in wanted]
        if config.wrong_answers:
            assert list(rows["untrac.wrong_answers"]) == [json.dumps(row["perturbed_answer"]) for row in wanted]
            assert list(rows["untrac.paraphrased_answer"]) == [
                json.dumps([row["paraphrased_answer"]]) for row in wanted
            ]
        if config.group:
            assert list(rows[GROUP]) == [row[config.group] for row in wanted]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("name", "repositories"), [("muse.yaml", {MUSE}), ("wmdp.yaml", {WMDP, WMDP_CORPORA})])
def test_what_the_docs_say_reads_each_split_and_no_other(name, repositories):
    entries = documented(name)
    assert config_problems(*entries.values()) == []
    read = expand([one for many in entries.values() for one in many])
    assert {config.path for config, _ in read} == repositories
    for config, rows in read:
        wanted = SPLITS[config.path][config.subset][config.split]
        if config.choices:
            for number, row in enumerate(rows):
                choices = "\n".join(f"{'ABCD'[place]}. {number}{'wxyz'[place]}" for place in range(4))
                assert row["prompt"] == f"Which {number}?\n{choices}\nAnswer:"
                assert row["target"] == "ABCD"[number % 4]
                assert json.loads(row["untrac.wrong_answers"]) == [one for one in "ABCD" if one != row["target"]]
            assert len(rows) == 5
            continue
        columns = ("prompt", "target") if config.prompt else ("text",)
        for column, source in zip(columns, config.columns, strict=True):
            assert list(rows[column]) == [row[source] for row in wanted]


@pytest.mark.usefixtures("hub")
def test_one_person_of_wpu():
    config = DatasetConfig(WPU, "one", "forget_2_1", prompt="question", target="answer", where={"title": "Person 1"})
    ((_, rows),) = expand([config])
    assert list(rows["target"]) == ["Author 2.", "Author 3."]


def test_a_name_of_the_hub_goes_the_same_way(hub, tmp_path_factory, monkeypatch):
    import datasets

    load, asked = datasets.load_dataset, []

    def downloaded(path, *args, **options):
        asked.append((path, *args, options))
        return load(str(hub / path), *args, split=options["split"])

    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setattr(datasets, "load_dataset", downloaded)
    monkeypatch.setattr(sources, "hub_problem", lambda *_: None)
    config = DatasetConfig(TOFU, "a", "forget01", revision="abc", prompt="question", target="answer")
    ((_, rows),) = expand([config])
    assert list(rows["prompt"]) == [row["question"] for row in TOFU_ROWS["forget01"]]
    assert asked == [(TOFU, "forget01", {"split": "train", "revision": "abc", "cache_dir": None})]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"subset": "forget02"}, "copy of a hub dataset that its README.md says it is (ValueError: BuilderConfig"),
        ({}, "copy of a hub dataset that its README.md says it is (ValueError: Config name is missing"),
        ({"subset": "forget01", "split": "test"}, "Unknown split"),
        ({"subset": "forget01", "group": "title"}, "has no column 'title'; there are question, answer"),
        ({"subset": "forget01_perturbed", "target": "perturbed_answer"}, "column 'perturbed_answer' holds List"),
    ],
)  # fmt: skip
def test_what_is_not_there(fields, said):
    fields = {"prompt": "question", "target": "answer", **fields}
    with pytest.raises(ConfigurationError) as caught:
        expand([DatasetConfig(TOFU, "a", **fields)])
    (problem,) = caught.value.problems
    assert said in problem


@pytest.mark.usefixtures("hub")
def test_a_changed_copy_is_read_again():
    config = DatasetConfig(TOFU, "a", "forget01", prompt="question", target="answer")
    expand([config])
    Path(TOFU, "forget01.json").write_text(json.dumps(qa(77)) + "\n")
    ((_, rows),) = expand([config])
    assert list(rows["target"]) == ["Author 77."]


@pytest.mark.usefixtures("hub")
def test_a_copy_has_splits_and_no_revision():
    assert DatasetConfig(TOFU, "a", "forget01", split="train").problems("corpora[0]") == []
    (problem,) = DatasetConfig(TOFU, "a", "forget01", revision="abc").problems("corpora[0]")
    assert problem.endswith("locuslab/TOFU is a folder, which has no revision; leave out revision")


@pytest.mark.parametrize(
    "card", ["# About", "---\nlicense: mit\n---\n", "---\n: [\n---\n", "---\nconfigs\n---\n", None]
)
def test_a_folder_whose_card_names_no_configurations_is_plain_files(tmp_path, card):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "one"}) + "\n")
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert not is_hub_copy(tmp_path)
    ((_, rows),) = expand([DatasetConfig(str(tmp_path), "a")])
    assert list(rows["text"]) == ["one"]
