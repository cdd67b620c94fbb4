"""Chosen examples of a corpus: which ones they are, that the rest stays, and what is refused."""

import json

import numpy as np
import pytest

from lightning_untrac.data import CorpusDataModule, DatasetConfig, EpisodePlan
from lightning_untrac.data.checks import episode_problems, stream_problems
from lightning_untrac.data.encoding import content_hash
from lightning_untrac.data.forget_set import ForgetChoice
from lightning_untrac.errors import ConfigurationError

TEXTS = {"a": ["a one", "a two two", "a three", "a two two", "a five"], "b": ["b one", "b two"], "x": ["x one"]}


@pytest.fixture
def make(tmp_path, facts):
    def made(choice=None, corpora="ab", **options):
        def config(name):
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS[name]))
            return DatasetConfig(str(path), name=name)

        cache = str(tmp_path / "cache")
        data = CorpusDataModule([config(n) for n in corpora], [config("x")], cache_folder=cache, **options)
        data.choose(choice)
        data.prepare(facts)
        return data

    return made


def texts(dataset):
    return [bytes(int(t) - 3 for t in dataset[i]["input_ids"] if t > 2).decode() for i in range(len(dataset))]


@pytest.mark.parametrize("ids", [("0", "1"), (content_hash("", "a one"), "3"), ("000001", content_hash("", "a one"))])
def test_every_copy_of_a_chosen_text_is_taken_out_and_the_rest_stays(make, ids):
    data = make(ForgetChoice("a", ids))
    assert data.corpus_names == ["a-rest", "b"]
    chosen, rest = data.tokenized["a-chosen"], data.tokenized["a-rest"]
    assert texts(chosen) == ["a one", "a two two", "a two two"]
    assert texts(rest) == ["a three", "a five"]
    whole = chosen.whole
    for part in (chosen, rest):
        assert [part.content_hash(i) for i in range(len(part))] == [content_hash("", text) for text in texts(part)]
        assert part.content_hashes(np.arange(len(part))).to_pylist() == [content_hash("", t) for t in texts(part)]
        assert part.lengths().tolist() == [len(part[i]["input_ids"]) for i in range(len(part))]
        assert part.target_counts().sum() == part.num_targets
    assert chosen.num_targets + rest.num_targets == whole.num_targets
    assert len({whole.fingerprint, chosen.fingerprint, rest.fingerprint}) == 3
    notes = "\n".join(data.notes())
    assert "3 examples of a are forgotten; its other 2 examples stay a corpus, a-rest" in notes
    assert "1 of these repeat a chosen text" in notes


def test_an_episode_forgets_the_chosen_examples_and_retains_everything_else(make):
    data = make(ForgetChoice("a", ("0",)))
    data.plan = plan = EpisodePlan("one", only=("a-chosen",))
    (episode,) = data.episodes()
    assert episode.trains_on == ("a-chosen",)
    retained = data._retained(episode)
    found = sorted(text for part in retained.parts for text in texts(part))
    assert found == sorted(text for name in "ab" for text in TEXTS[name] if text != "a one")
    assert data.evaluation_names == ["a-rest", "b", "x", "a-chosen"]
    assert len(data.evaluation_data()) == 8
    assert not plan.problems(*data.episode_names(plan)) + plan.retain_problems(*data.episode_names(plan))


def test_chosen_examples_are_in_no_trace(make):
    data = make(ForgetChoice("a", ("0",)))
    for kind in ("each_corpus", "each_test_set", "mixture", "leave_one_out"):
        data.plan = EpisodePlan(kind)
        assert "a-chosen" not in {name for e in data.episodes() for name in e.trains_on}
        assert "a-chosen" not in data.evaluation_names


def test_a_choice_can_be_taken_back(make, facts):
    data = make(ForgetChoice("a", ("0",)))
    data.choose(None)
    data.prepare(facts)
    assert data.corpus_names == ["a", "b"]
    assert not data.tokenized_forget


def test_where_everything_is_chosen_there_may_be_nothing_to_retain(make):
    everything = ForgetChoice("a", tuple("01234"))
    data = make(everything)
    assert data.corpus_names == ["b"]
    assert any("no example of it is left" in note for note in data.notes())
    alone = make(everything, corpora="a")
    plan = EpisodePlan("one", only=("a-chosen",))
    (problem,) = plan.retain_problems(*alone.episode_names(plan))
    assert "no corpus to retain" in problem
    assert not plan.problems(*alone.episode_names(plan))


@pytest.mark.parametrize(
    ("choice", "options", "said"),
    [
        (ForgetChoice("a", ("7", "0123456789abcdef")), {}, "none of them is 0123456789abcdef, row 7"),
        (ForgetChoice("a", ()), {}, "chooses no example of a"),
        (ForgetChoice("c", ("0",)), {}, "'c' is no corpus; corpora: a, b"),
        (ForgetChoice("x", ("0",)), {}, "'x' is another dataset; corpora: a, b"),
        (ForgetChoice("a", ("0",)), {"block_size": 8}, "set data.block_size: null"),
    ],
)
def test_what_is_refused(make, choice, options, said):
    with pytest.raises(ConfigurationError) as caught:
        make(choice, **options)
    (problem,) = caught.value.problems
    assert said in problem
    assert problem.startswith("forget_examples: ")


def test_the_order_of_ids_makes_no_other_choice():
    assert ForgetChoice("a", ("1", "2")).digest == ForgetChoice("a", ("2", "1", "1")).digest
    assert ForgetChoice("a", ("1", "2")).digest != ForgetChoice("a", ("1", "3")).digest


def test_episode_problems_know_the_chosen_examples(make):
    import lightning.pytorch as L

    data = make(ForgetChoice("a", ("0",)))
    plan = EpisodePlan("one", only=("a-chosen",))
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    assert not episode_problems(trainer, plan, *data.episode_names(plan), 1, needs_retain=True)


# -- datasets beside corpora and test sets -----------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path, facts):
    def made(forget=("b three",), holdout=("h one", "h two"), prepared=True, **names):
        def config(name, texts):
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
            return DatasetConfig(str(path), name=names.get(name, name))

        data = CorpusDataModule(
            [config("a", TEXTS["a"]), config("b", TEXTS["b"])], [config("x", TEXTS["x"])],
            forget=[config("f", forget)], holdout=[config("h", holdout)], cache_folder=str(tmp_path / "cache"),
        )  # fmt: skip
        data.prepare(facts)
        return data

    return made


def test_forget_sets_and_holdouts_are_measured_and_in_no_trace(beside):
    data = beside()
    assert (data.corpus_names, data.test_set_names) == (["a", "b"], ["x"])
    data.plan = EpisodePlan("one")
    assert data.evaluation_names == ["a", "b", "x", "f", "h"]
    for kind in ("each_corpus", "each_test_set", "mixture", "leave_one_out"):
        data.plan = EpisodePlan(kind)
        assert not {"f", "h"} & {*data.evaluation_names, *(name for e in data.episodes() for name in e.trains_on)}
    assert {role: [d.name for d in datasets] for role, datasets in data.by_role().items()} == {
        "corpus": ["a", "b"], "test set": ["x"], "forget set": ["f"], "holdout": ["h"]
    }  # fmt: skip


def test_a_forget_set_can_be_forgotten_and_a_holdout_cant(beside):
    data = beside()
    plan = data.plan = EpisodePlan("one", only=("f",))
    (episode,) = data.episodes()
    assert episode.trains_on == ("f",)
    assert plan.retained("f", data.corpus_names) == ("a", "b")
    assert not plan.problems(*data.episode_names(plan))
    plan = EpisodePlan("one", only=("h",))
    assert "no dataset is named 'h'" in plan.problems(*data.episode_names(plan))[0]


def test_a_forget_set_is_divided_and_stays_out_of_what_is_retained(beside, facts):
    data = beside(forget=("f one", "f two", "f three", "f two"))
    data.choose(ForgetChoice("f", ("1",), of_forget=True))
    data.prepare(facts)
    assert (data.corpus_names, list(data.tokenized_forget)) == (["a", "b"], ["f-rest", "f-chosen"])
    assert texts(data.tokenized["f-chosen"]) == ["f two", "f two"]
    assert texts(data.tokenized["f-rest"]) == ["f one", "f three"]
    plan = EpisodePlan("one", only=("f-chosen",))
    assert plan.retained("f-chosen", data.corpus_names) == ("a", "b")
    assert not plan.problems(*data.episode_names(plan))
    assert any("stay a forget set, f-rest" in note for note in data.notes())


def test_texts_that_stand_where_they_should_not_are_told(beside):
    assert not [note for note in beside().notes() if "in common" in note]
    notes = beside(forget=["b one", "new"], holdout=TEXTS["a"]).notes()
    assert [note for note in notes if "holdout h has all 4 texts in common with a" in note]
    assert [note for note in notes if "forget set f has 1 of its 2 texts in common with b" in note]


def test_names_are_given_once_over_all_roles(beside):
    with pytest.raises(ConfigurationError, match="the name 'a' is given 2 times; every dataset needs a name"):
        beside(h="a")


def test_a_stream_that_the_data_do_not_bring_is_refused(make):
    class Module:
        streams = frozenset({"forget", "retain"})

    class ForgetOnly:
        streams = frozenset({"forget"})

    plan = EpisodePlan("one")
    (problem,) = stream_problems(Module(), ForgetOnly(), plan)
    assert "reads retain examples, and ForgetOnly brings none" in problem
    assert not stream_problems(Module(), make(), plan)
    assert not stream_problems(Module(), object(), plan)
