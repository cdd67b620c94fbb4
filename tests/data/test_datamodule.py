import json
import subprocess
import sys

import lightning.pytorch as L
import pytest
import torch

from lightning_untrac.data import CorpusDataModule, DatasetConfig, EpisodePlan
from lightning_untrac.errors import ConfigurationError

WORDS = {"a": "apple", "b": "brick and stone", "c": "cloud", "x": "xylophone", "y": "yarn"}


@pytest.fixture
def sources(tmp_path):
    """Datasets a (12 rows), b (7), c (5) and test sets x (6), y (3), rows of many lengths."""
    configs = {}
    for name, count in (("a", 12), ("b", 7), ("c", 5), ("x", 6), ("y", 3)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{WORDS[name]} {i} " * (i % 3 + 1)}) + "\n" for i in range(count)))
        configs[name] = DatasetConfig(str(path), name=name)
    return configs


@pytest.fixture
def make(sources, tmp_path, facts):
    def made(corpora="abc", test_sets="xy", prepared=True, **options):
        data = CorpusDataModule(
            [sources[name] for name in corpora], [sources[name] for name in test_sets],
            **{"cache_folder": str(tmp_path / "cache"), **options},
        )  # fmt: skip
        if prepared:
            data.prepare(facts)
        return data

    return made


def problems(data, facts):
    with pytest.raises(ConfigurationError) as caught:
        data.prepare(facts)
    return caught.value.problems


def rows_read(data):
    """(dataset, example) of each row of a reading, and what is left over."""
    names, found = data.evaluation_names, []
    for batch in data.val_dataloader():
        pairs = zip(batch["dataset_index"].tolist(), batch["example_index"].tolist(), strict=True)
        found += [(names[which], example) for which, example in pairs if which >= 0]
    return found


# -- preparing ---------------------------------------------------------------------------------------------------------


def test_names_stand_in_the_order_given(make):
    data = make()
    assert (data.corpus_names, data.test_set_names) == (["a", "b", "c"], ["x", "y"])
    assert [len(dataset) for dataset in data.tokenized_corpora.values()] == [12, 7, 5]
    assert data.notes() == []


def test_preparing_again_is_for_another_model_only(make, make_facts, bpe_tokenizer, facts):
    data = make()
    first = data.tokenized_corpora["a"]
    data.prepare(facts)
    data.prepare(make_facts())  # another module with the same tokenizer
    assert data.tokenized_corpora["a"] is first
    data.prepare(make_facts(tokenizer=bpe_tokenizer, vocabulary_size=400))
    assert data.tokenized_corpora["a"] is not first
    assert data.tokenized_corpora["a"][0]["input_ids"][0] == bpe_tokenizer.bos_token_id


def test_all_problems_come_in_one_message(sources, tmp_path, make_facts):
    sources["a"].num_examples = 0
    broken = DatasetConfig(str(tmp_path / "missing.csv"), name="m")
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": ""}\n')
    data = CorpusDataModule(
        [sources["a"], broken, sources["b"]], [DatasetConfig(str(empty), name="e"), sources["b"]],
        batch_size=0, block_size=5000, cache_folder=str(tmp_path / "cache"),
    )  # fmt: skip
    found = problems(data, make_facts(vocabulary_size=50))
    sayings = (
        "num_examples is 0",
        "missing.csv does not exist",
        "e: has no target token",
        "data.batch_size: 0",
        "data.block_size: 5000 exceeds",
        "'b' is ",
        "b: the tokenizer makes token id",
    )
    for said in sayings:
        assert len([problem for problem in found if said in problem]) == 1, said


def test_a_models_problem_does_not_hide_those_of_the_data(make, tmp_path):
    class NoTokenizer:
        @property
        def tokenizer(self):
            raise ConfigurationError(["tokenizer: can't load 'x'"])

    data = make(prepared=False)
    data.corpora.append(DatasetConfig(str(tmp_path / "missing.csv"), name="m"))
    found = problems(data, NoTokenizer())
    assert found[0] == "tokenizer: can't load 'x'"
    assert "m: " in found[1]


def test_names_made_twice_by_split_by(tmp_path, facts):
    path = tmp_path / "a.csv"
    path.write_text("text,part\none,p\ntwo,q\n")
    options = {"cache_folder": str(tmp_path / "cache")}
    split = DatasetConfig(str(path), split_by="part")
    data = CorpusDataModule([split, DatasetConfig(str(path), name="p")], [], **options)
    assert "the name 'p' is made twice" in problems(data, facts)[0]
    data = CorpusDataModule([split], [DatasetConfig(str(path), name="q")], **options)
    assert problems(data, facts) == ["the name 'q' is both a corpus and a test set"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "has 21 tokens, more than the model's context of 20; set data.max_length"),
        ({"max_length": 21}, "data.max_length: 21 exceeds the model's context of 20"),
        ({"block_size": 21}, "data.block_size: 21 exceeds the model's context of 20"),
        ({"block_size": 2}, "data.block_size: 2 is too small; give at least 3"),
    ],
)
def test_what_is_longer_than_the_context(tmp_path, make_facts, options, said):
    path = tmp_path / "a.txt"
    path.write_text("x" * 20)
    data = CorpusDataModule([DatasetConfig(str(path), name="a")], cache_folder=str(tmp_path / "cache"), **options)
    assert said in " ".join(problems(data, make_facts(context_length=20)))


@pytest.mark.parametrize("options", [{"max_length": 20}, {"block_size": 20}, {"block_size": 7}])
def test_what_fits_the_context(tmp_path, make_facts, options):
    path = tmp_path / "a.txt"
    path.write_text("x" * 20)
    data = CorpusDataModule([DatasetConfig(str(path), name="a")], cache_folder=str(tmp_path / "cache"), **options)
    data.prepare(make_facts(context_length=20))
    assert data.notes() == (["a: 1 of 1 examples were cut to 20 tokens"] if "max_length" in options else [])


def test_notes_tell_all_that_was_left_out_cut_or_repeated(make, sources, facts, tmp_path):
    blank = tmp_path / "blank.jsonl"
    blank.write_text('{"text": "one"}\n{"text": ""}\n{"text": "two"}\n')
    sources["a"].num_examples = 99
    sources["c"] = DatasetConfig(str(blank), name="c")
    for name, share in (("a", 0.1), ("b", 0.8), ("c", 0.1)):
        sources[name].share = share
    notes = "\n".join(make(max_length=20).notes())
    assert "a: has 12 examples, fewer than the 99 asked for; all were used once" in notes
    assert "c: 1 of 3 examples had nothing to predict and were left out" in notes
    assert "b: 4 of 7 examples were cut to 20 tokens" in notes
    assert "b: its share of the mixture asks for 17 examples (or blocks) a pass and it has 7" in notes


def test_clearing_the_cache_spares_other_files(make, tmp_path):
    data = make()
    (tmp_path / "cache" / "thesis.txt").write_text("mine")
    data.clear_cache()
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["thesis.txt"]


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [None, 16])
def test_blocks_are_for_corpora_of_causal_models(make, make_facts, block_size):
    data = make(block_size=block_size)
    packed = data.training_examples("a")
    assert (len(packed) == 12) == (block_size is None)
    assert len(data.training_examples("x")) == 6


def test_seq2seq_is_not_packed_and_says_so(tmp_path, make_facts):
    path = tmp_path / "a.csv"
    path.write_text("p,t\nq?,a\n")
    config = DatasetConfig(str(path), name="a", prompt="p", target="t")
    data = CorpusDataModule([config], block_size=8, cache_folder=str(tmp_path / "cache"))
    data.prepare(make_facts(is_seq2seq=True, context_length=None))
    assert len(data.training_examples("a")) == 1
    assert "data.block_size: not used" in data.notes()[0]


def test_two_copies_under_two_names_are_gone_through_alike(make, sources):
    sources["b"] = DatasetConfig(sources["a"].path, name="b")
    data = make("ab", plan=EpisodePlan("each_corpus", seeds=(4,)), batch_size=5)
    first, second = (list(data.sampler(episode)) for episode in data.episodes())
    assert first == second
    assert [data.tokenized_corpora["a"].content_hash(i) for i in range(12)] == [
        data.tokenized_corpora["b"].content_hash(i) for i in range(12)
    ]


def test_an_episode_is_the_same_whatever_is_traced_with_it(make):
    plan = EpisodePlan("each_corpus", seeds=(7,))
    alone = make("b", plan=plan)
    together = make("cab", plan=plan)
    (mine,) = alone.episodes()
    (same,) = [episode for episode in together.episodes() if episode.dataset == "b"]
    assert list(alone.sampler(mine)) == list(together.sampler(same))


@pytest.mark.parametrize(("kind", "batch_size"), [("each_corpus", 64), ("each_test_set", 256), ("mixture", 8)])
def test_batch_sizes_by_default(make, kind, batch_size):
    data = make(plan=EpisodePlan(kind))
    assert data.sampler(data.episodes()[0]).batch_size == batch_size


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("each_corpus", {}, {"x": 6, "y": 3}),
        ("each_test_set", {}, {"a": 12, "b": 7, "c": 5}),
        ("each_test_set", {"corpus_eval_examples": 6}, {"a": 6, "b": 6, "c": 5}),
        ("each_test_set", {"block_size": 16, "per_example": True}, {"a": 12, "b": 7, "c": 5}),
        ("one", {}, {"a": 12, "b": 7, "c": 5, "x": 6, "y": 3}),
    ],
)
def test_a_reading_measures_each_row_once(make, kind, options, expected):
    data = make(plan=EpisodePlan(kind), eval_batch_size=4, **options)
    read = rows_read(data)
    assert len(set(read)) == len(read)
    assert {name: sum(row[0] == name for row in read) for name in data.evaluation_names} == expected
    assert read == rows_read(data)  # the same frozen rows at every reading


def test_a_reading_does_not_depend_on_its_batch_size(make):
    small, large = (make(plan=EpisodePlan("one"), eval_batch_size=size) for size in (1, 100))
    assert sorted(rows_read(small)) == sorted(rows_read(large))


def test_nothing_to_measure(make):
    assert make("abc", "").val_dataloader() == []


# -- under a Trainer ---------------------------------------------------------------------------------------------------


class Recorder(L.LightningModule):
    """Notes which rows it is given; its weights don't matter."""

    def __init__(self, facts, episode_kind="mixture", stop_at=None):
        super().__init__()
        self.tokenizer, self.is_seq2seq = facts.tokenizer, facts.is_seq2seq
        self.context_length, self.vocabulary_size = facts.context_length, facts.vocabulary_size
        self.episode_kind, self.stop_at = episode_kind, stop_at
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs = {}

    def training_step(self, batch, batch_idx):
        rows = zip(batch["dataset_index"].tolist(), batch["example_index"].tolist(), strict=True)
        self.epochs.setdefault(self.current_epoch, []).append(list(rows))
        return self.weight * 0

    def on_train_batch_end(self, outputs, batch, batch_idx):  # where ModelCheckpoint saves, too
        if self.stop_at == (self.current_epoch, batch_idx):
            self.trainer.save_checkpoint(self.trainer.default_root_dir + "/stopped.ckpt")
            raise KeyError("stopped")

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, module, folder, ckpt_path=None, **options):
    trainer = L.Trainer(
        **{"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
           "enable_model_summary": False, "num_sanity_val_steps": 0, "limit_val_batches": 0,
           "default_root_dir": str(folder), "reload_dataloaders_every_n_epochs": 1, **options},
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return module.epochs


@pytest.mark.parametrize("reload", [0, 1])
def test_each_pass_over_the_mixture_has_an_order_of_its_own(make, facts, tmp_path, reload):
    epochs = fit(make(prepared=False, batch_size=5), Recorder(facts), tmp_path, max_epochs=3,
                 reload_dataloaders_every_n_epochs=reload)  # fmt: skip
    flat = [tuple(row for batch in epochs[epoch] for row in batch) for epoch in range(3)]
    assert len(set(flat)) == 3
    assert [sorted(rows) for rows in flat] == [sorted(flat[0])] * 3
    assert len(set(flat[0])) == 12 + 7 + 5


def test_a_mixture_without_a_last_epoch(make, facts, tmp_path):
    epochs = fit(make(batch_size=8), Recorder(facts), tmp_path, max_epochs=-1, max_steps=7)
    assert [len(batches) for batches in epochs.values()] == [3, 3, 1]


def test_an_epoch_is_an_episode(make, facts, tmp_path):
    data = make(batch_size=4, plan=EpisodePlan("leave_one_out"))
    epochs = fit(data, Recorder(facts), tmp_path, max_epochs=3)
    assert [sum(map(len, batches)) for batches in epochs.values()] == [12, 17, 19]


@pytest.mark.parametrize("kind", ["mixture", "each_corpus"])
@pytest.mark.parametrize("stop_at", [(0, 0), (1, 1), (1, 2), (2, 0)])
def test_a_killed_fit_goes_on_without_seeing_a_batch_twice(make, facts, tmp_path, kind, stop_at):
    options = {"max_epochs": 3}
    whole = fit(make(batch_size=2), Recorder(facts, kind), tmp_path, **options)
    killed = Recorder(facts, kind, stop_at)
    with pytest.raises(KeyError):
        fit(make(batch_size=2), killed, tmp_path, **options)
    resumed = fit(make(batch_size=2), Recorder(facts, kind), tmp_path, tmp_path / "stopped.ckpt", **options)
    assert {epoch: killed.epochs.get(epoch, []) + resumed.get(epoch, []) for epoch in whole} == whole


@pytest.mark.parametrize(
    ("plan", "options", "said"),
    [
        (EpisodePlan("each_corpus"), {"max_epochs": 4}, "there are 3 .3 datasets x 1 seeds.; use max_epochs=3"),
        (
            EpisodePlan("each_corpus"),
            {"max_epochs": 3, "reload_dataloaders_every_n_epochs": 0},
            "each episode has its own",
        ),
        (EpisodePlan("each_corpus"), {"max_epochs": 3, "max_steps": 5}, "counts over all episodes"),
        (EpisodePlan("one"), {"max_epochs": 1}, "exactly one dataset's name"),
        (EpisodePlan("each_corpus", only=("q",)), {"max_epochs": 3}, "no dataset is named 'q'"),
    ],
)
def test_trainers_that_dont_fit_the_plan(make, facts, tmp_path, plan, options, said):
    with pytest.raises(ConfigurationError, match=said):
        fit(make(plan=plan), Recorder(facts), tmp_path, **options)


def test_without_a_trainer_or_a_model(make):
    with pytest.raises(ConfigurationError, match=r"call prepare\(module\) first"):
        make(prepared=False).setup("fit")


def test_lightnings_own_sampler_is_refused_where_it_would_repeat_examples(make, monkeypatch):
    from types import SimpleNamespace

    data = make()
    strategy = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": 2, "rank": 1})
    connector = SimpleNamespace(use_distributed_sampler=True)
    data.trainer = SimpleNamespace(strategy=strategy, _accelerator_connector=connector, lightning_module=None)
    with pytest.raises(ConfigurationError, match="use_distributed_sampler=False"):
        data.setup("validate")


def test_the_papers_tables_as_seq2seq(paper_data, make_facts, tmp_path):
    columns = {"prompt": "inputs_pretokenized", "target": "targets_pretokenized"}
    data = CorpusDataModule(
        [DatasetConfig(str(paper_data / "synthetic_train00_dataset.csv"), split_by="dataset", **columns)],
        [DatasetConfig(str(paper_data / "synthetic_eval00_dataset.csv"), split_by="dataset", **columns)],
        cache_folder=str(tmp_path / "cache"), plan=EpisodePlan("each_test_set"),
    )  # fmt: skip
    data.prepare(make_facts(is_seq2seq=True, context_length=None))
    assert data.corpus_names == ["dataset1", "dataset2", "dataset3", "dataset4"]
    assert data.test_set_names == ["dataset0"]
    assert data.notes() == []
    (episode,) = data.episodes()
    batches = list(data.sampler(episode))
    assert len(batches) == 5  # five steps, each over the whole test set
    assert all(sorted(batch) == list(range(256)) for batch in batches)
    first = data.tokenized_test_sets["dataset0"][0]
    assert bytes((first["input_ids"] - 3).tolist()).decode() == "What is the number that comes after 512?"


def test_importing_the_package_imports_no_datasets():
    code = "import sys, lightning_untrac.data; print([m for m in ('datasets', 'pandas', 'wandb') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_parts_of_the_corpora_can_be_read_as_test_sets(make_data, model_folders):
    from lightning_untrac import Unlearning

    data = make_data(("birds", "ships"), ("ask-birds",))
    data.self_examples = 4
    data.prepare(Unlearning(model_folders("llama")))
    assert data.test_set_names == ["ask-birds", "self_birds", "self_ships"]
    for name in ("birds", "ships"):
        part, whole = data.tokenized_test_sets[f"self_{name}"], data.tokenized_corpora[name]
        assert len(part) == 4
        texts = {tuple(whole[index]["input_ids"]) for index in range(len(whole))}
        assert {tuple(part[index]["input_ids"]) for index in range(4)} <= texts


def test_a_corpus_without_a_name_has_no_part(make_data):
    data = make_data(("birds",), ("ask-birds",))
    data.corpora[0].name, data.corpora[0].split_by = None, "kind"
    data.self_examples = 4
    assert any("give this one a `name`" in problem for problem in data.problems())


def test_padding_that_the_model_has_no_row_for(make, make_facts, bpe_folder):
    from lightning_untrac.data.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(str(bpe_folder))
    tokenizer.add_special_tokens({"pad_token": "[new]"})
    data = make(prepared=False)
    data.prepare(make_facts(tokenizer=tokenizer, vocabulary_size=tokenizer.pad_token_id))
    batch = next(iter(data.val_dataloader()))
    assert batch["attention_mask"].min() == 0
    assert batch["input_ids"].max() < tokenizer.pad_token_id


def test_a_missing_end_is_one_problem_for_all_datasets(make, make_facts, tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", bos_token="[UNK]")
    found = problems(make(prepared=False, append_eos=True), make_facts(tokenizer=tokenizer))
    assert len(found) == 1
    assert found[0].startswith("tokenizer: has no EOS token, and data.append_eos asks for one: leave it out, or")
