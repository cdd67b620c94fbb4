"""The streams of a step: what is in them, that they depend on the seed alone, and that cutting changes nothing."""

import json
from itertools import chain

import numpy as np
import pytest

from lightning_untrac.data import CorpusDataModule, DatasetConfig, EpisodePlan
from lightning_untrac.data.checks import episode_problems
from lightning_untrac.data.loading import Concatenation, EpisodeDataLoader
from lightning_untrac.data.streams import RetainedOrder, StreamBatchSampler, StreamCollator, StreamExamples
from lightning_untrac.errors import ConfigurationError

SIZES = {"a": 12, "b": 7, "c": 5, "x": 6}


@pytest.fixture
def make(tmp_path, facts):
    """Corpora a, b, c and a test set x; every text begins with its dataset's name, and texts differ in length."""

    def made(corpora="abc", shares=None, **options):
        def config(name):
            path = tmp_path / f"{name}.jsonl"
            texts = [f"{name}{i} " + "word " * (i % 4) for i in range(SIZES[name])]
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
            return DatasetConfig(str(path), name=name, share=(shares or {}).get(name))

        options.setdefault("cache_folder", str(tmp_path / "cache"))
        data = CorpusDataModule([config(name) for name in corpora], [config("x")], **options)
        data.prepare(facts)
        return data

    return made


def paired(data, dataset, kind="each_corpus", accumulation=1, rank=0, num_replicas=1, seed=0, **plan):
    """The loader of an episode as the DataModule makes it."""
    data.plan = EpisodePlan(kind, (seed,), **plan)
    (episode,) = (e for e in data.episodes() if e.dataset == dataset)
    forget = Concatenation([data.training_examples(name) for name in episode.trains_on])
    examples = StreamExamples({"forget": forget, "retain": data._retained(episode)})
    sampler = data.sampler(episode, accumulation, rank, num_replicas)
    batches = StreamBatchSampler(sampler, examples, data.retained_order(episode), data.retained_per_example)
    return EpisodeDataLoader(
        examples, batch_sampler=batches, collate_fn=StreamCollator(data.loader_options()["collate_fn"])
    )


def texts(batch):
    """Decoded rows that are no filler (ByT5's bytes are its ids minus 3), the length of the padding aside."""
    rows = zip(batch["input_ids"].tolist(), batch["example_index"].tolist(), strict=True)
    return ["".join(chr(token - 3) for token in row if token > 2).strip() for row, index in rows if index >= 0]


def by_step(loader, accumulation=1):
    """For each optimizer step: the unlearned and the retained texts."""
    batches = list(loader)
    steps = [batches[i : i + accumulation] for i in range(0, len(batches), accumulation)]
    return [
        (list(chain(*(texts(b) for b in step))), list(chain(*(texts(b["retain"]) for b in step)))) for step in steps
    ]


@pytest.mark.parametrize(
    ("kind", "dataset", "kept"),
    [("each_corpus", "b", "ac"), ("each_test_set", "x", "abc"), ("one", "c", "ab"), ("one", "x", "abc")],
)
def test_what_is_retained_is_every_corpus_but_the_unlearned_one(make, kind, dataset, kept):
    loader = paired(make(batch_size=3), dataset, kind, only=(dataset,), passes=8)
    unlearned, retained = (list(chain(*part)) for part in zip(*by_step(loader), strict=True))
    assert {text[0] for text in unlearned} == {dataset}
    assert {text[0] for text in retained} == set(kept)


@pytest.mark.parametrize("times", [1, 3])
def test_a_step_keeps_as_many_as_it_unlearns_also_where_a_pass_ends(make, times):
    steps = by_step(paired(make(batch_size=5, retained_per_example=times), "a", passes=2))
    assert [len(unlearned) for unlearned, _ in steps] == [5, 5, 2] * 2
    assert [len(retained) for _, retained in steps] == [5 * times, 5 * times, 2 * times] * 2


def test_a_pass_over_the_retained_corpora_has_each_example_once(make):
    order = paired(make(), "a").batch_sampler.order
    (first, second) = (take.tolist() for take in order.takes(iter([12, 12])))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    pieces = list(chain(*(take.tolist() for take in order.takes(iter([5, 5, 5, 5, 4])))))
    assert pieces == first + second


def test_the_mixture_is_by_shares(make):
    data = make(shares={"a": 1, "b": 3, "c": 1}, batch_size=6)
    retained = list(chain(*(kept for _, kept in by_step(paired(data, "a", passes=10)))))
    assert len(retained) == 120
    assert sum(text[0] == "b" for text in retained) == 90
    data = make(batch_size=6)
    retained = list(chain(*(kept for _, kept in by_step(paired(data, "a", passes=10)))))
    assert sum(text[0] == "b" for text in retained) == 70


def test_the_unlearned_stream_is_the_one_without_retained_data(make):
    data = make(batch_size=5)
    loader = paired(data, "a", seed=3)
    (episode,) = (e for e in data.episodes() if e.dataset == "a")
    assert [share.indices["forget"] for share in loader.batch_sampler] == list(data.sampler(episode))


def test_the_order_depends_on_the_seed_and_on_no_other_episode(make):
    first = by_step(paired(make("abc", batch_size=4), "b", seed=2))
    assert by_step(paired(make("cba", batch_size=4), "b", seed=2)) == first
    assert by_step(paired(make("abc", batch_size=4), "b", seed=2, only=("b",))) == first
    assert [kept for _, kept in by_step(paired(make("abc", batch_size=4), "b", seed=3))] != [kept for _, kept in first]


@pytest.mark.parametrize(("size", "accumulation", "ranks"), [(4, 2, 1), (2, 4, 1), (4, 1, 2), (1, 4, 2), (1, 2, 4)])
@pytest.mark.parametrize("times", [1, 2])
def test_a_step_holds_the_same_examples_however_it_is_cut(make, size, accumulation, ranks, times):
    whole = by_step(paired(make(batch_size=8, retained_per_example=times), "a", passes=2))
    data = make(batch_size=size, retained_per_example=times)
    parts = [by_step(paired(data, "a", "each_corpus", accumulation, r, ranks, passes=2), accumulation)
             for r in range(ranks)]  # fmt: skip
    assert [len(part) for part in parts] == [len(whole)] * ranks
    for step, (unlearned, retained) in enumerate(whole):
        assert sorted(chain(*(part[step][0] for part in parts))) == sorted(unlearned)
        assert sorted(chain(*(part[step][1] for part in parts))) == sorted(retained)


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_micro_batch_knows_the_targets_of_its_whole_step(make, ranks):
    cut, seen = 3 - ranks, set()
    loaders = [list(paired(make(batch_size=2), "a", "each_corpus", cut, r, ranks, passes=2)) for r in range(ranks)]
    for start in range(0, len(loaders[0]), cut):
        parts = [batch for loader in loaders for batch in loader[start : start + cut]]
        for kind in (lambda batch: batch, lambda batch: batch["retain"]):
            counted = sum(int((kind(batch)["labels"][:, 1:] != -100).sum()) for batch in parts)
            assert {kind(batch)["step_tokens"] for batch in parts} == {counted}
            rows = sum(int((kind(batch)["labels"][:, 1:] != -100).any(dim=1).sum()) for batch in parts)
            assert {kind(batch)["step_sequences"] for batch in parts} == {rows}
            seen.add(counted)
    assert len(seen) > 2  # unequal lengths, or this would be no test


def test_target_counts_are_those_of_the_labels(make):
    for options in ({}, {"block_size": 7}):
        data = make(**options)
        for name in ("a", "b", "x"):
            examples = data.training_examples(name)
            counted = [int((examples[i]["labels"][1:] != -100).sum()) for i in range(len(examples))]
            assert examples.target_counts().tolist() == counted
    whole = Concatenation([data.training_examples("a"), data.training_examples("b")], [np.array([2, 0]), None])
    expected = [data.training_examples("a").target_counts()[i] for i in (2, 0)]
    assert whole.target_counts().tolist() == [*expected, *data.training_examples("b").target_counts(), 0]
    assert whole.target_counts()[-1] == 0  # filler


@pytest.mark.parametrize("stop", range(6))
def test_a_resumed_loader_goes_on_in_both_streams(make, stop):
    data = make(batch_size=2, retained_per_example=2)
    whole = [(texts(b), texts(b["retain"])) for b in paired(data, "a", accumulation=2)]
    assert len(whole) == 6
    loader = paired(data, "a", accumulation=2)
    iterator = iter(loader)
    for _ in range(stop):
        next(iterator)
    resumed = paired(data, "a", accumulation=2)
    resumed.load_state_dict(loader.state_dict())
    assert [(texts(b), texts(b["retain"])) for b in resumed] == whole[stop:]


def test_a_worker_changes_nothing(make):
    def batches(workers):
        data = make(batch_size=4, num_workers=workers)
        data.plan = EpisodePlan("each_corpus")
        data.trainer = FittedTrainer()
        return [(texts(b), texts(b["retain"])) for b in data.train_dataloader()]

    assert batches(1) == batches(0)


class FittedTrainer:
    """As much of a Trainer as the DataModule asks."""

    class lightning_module:  # noqa: N801
        needs_retain, streams = True, frozenset({"forget", "retain"})

    class strategy:  # noqa: N801
        class root_device:  # noqa: N801
            type = "cpu"

    current_epoch, max_epochs, accumulate_grad_batches = 0, 3, 1
    fast_dev_run, reload_dataloaders_every_n_epochs, max_steps = False, 1, -1


def test_a_sample_of_retained_examples_is_no_part_of_the_stream_and_the_same_each_time(make):
    data = make(batch_size=4, plan=EpisodePlan("each_corpus"))
    data.trainer = FittedTrainer()
    sample, again = ([texts(batch) for batch in data.retained_dataloader(5)] for _ in range(2))
    assert sample == again
    assert [len(one) for one in sample] == [1] * 5
    assert {one[0][0] for one in sample} <= {"b", "c"}
    assert len(list(data.retained_dataloader(1000))) == 12


def test_nothing_to_retain_is_said_with_all_other_problems():
    plan = EpisodePlan("each_corpus", seeds=())
    found = episode_problems(FittedTrainer(), plan, ["a"], [], 1, needs_retain=True)
    assert [p for p in found if "beside 'a' there is no corpus to retain; name at least one more" in p]
    assert [p for p in found if p.startswith("seeds: none given")]
    assert [p for p in found if p.startswith("test_sets: none given")]


def test_who_has_something_to_retain():
    assert EpisodePlan("each_corpus").retain_problems(["a", "b"], ["x"]) == []
    assert EpisodePlan("each_test_set").retain_problems(["a"], ["x"]) == []
    assert EpisodePlan("one", only=("x",)).retain_problems(["a"], ["x"]) == []
    assert "beside 'a'" in EpisodePlan("one", only=("a",)).retain_problems(["a"], ["x"])[0]
    assert "beside 'x'" in EpisodePlan("one", only=("x",)).retain_problems([], ["x"])[0]
    assert "continuation episodes unlearn nothing" in EpisodePlan("continuation").retain_problems(["a", "b"], [])[0]


def test_no_retained_examples_a_step_is_refused(make):
    with pytest.raises(ConfigurationError, match="retained_per_example: 0 is too small; give at least 1"):
        make(retained_per_example=0)
    with pytest.raises(ValueError, match="nothing to retain"):
        RetainedOrder([], None, 0)


@pytest.mark.parametrize(("accumulation", "ranks"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_an_alternative_goes_where_its_prompt_goes(make, accumulation, ranks):
    data = make(batch_size=2)
    data.plan = EpisodePlan("each_corpus", (0,), passes=2)
    (episode,) = (e for e in data.episodes() if e.dataset == "a")
    forget, other = (Concatenation([data.training_examples(name)]) for name in "aa")
    seen = []
    for rank in range(ranks):
        sampler = data.sampler(episode, accumulation, rank, ranks)
        examples = StreamExamples({"forget": forget, "alternative": other, "retain": data._retained(episode)})
        for share in StreamBatchSampler(sampler, examples, data.retained_order(episode)):
            assert share.indices["alternative"] == share.indices["forget"]
            assert share.tokens["alternative"] == share.tokens["forget"]
            seen += share.indices["alternative"]
    assert sorted(index for index in seen if index >= 0) == sorted([*range(12)] * 2)
