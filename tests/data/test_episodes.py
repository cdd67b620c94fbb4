import pytest

from lightning_untrac.data import EpisodePlan

CORPORA, TEST_SETS = ["a", "b", "c"], ["x", "y"]


@pytest.mark.parametrize(
    ("kind", "datasets", "trains_on"),
    [
        ("each_corpus", ["a", "b", "c"], [("a",), ("b",), ("c",)]),
        ("each_test_set", ["x", "y"], [("x",), ("y",)]),
        ("leave_one_out", ["a", "b", "c"], [("b", "c"), ("a", "c"), ("a", "b")]),
        ("mixture", [""], [("a", "b", "c")]),
    ],
)
def test_episodes_of_a_kind(kind, datasets, trains_on):
    plan = EpisodePlan(kind)
    episodes = plan.episodes(CORPORA, TEST_SETS)
    assert [episode.dataset for episode in episodes] == datasets
    assert [episode.trains_on for episode in episodes] == trains_on
    assert plan.problems(CORPORA, TEST_SETS) == []


@pytest.mark.parametrize("kind", ["each_corpus", "each_test_set", "leave_one_out"])
def test_done_and_only_leave_the_other_episodes_as_they_are(kind):
    whole = EpisodePlan(kind, seeds=(3, 5)).episodes(CORPORA, TEST_SETS)
    done = frozenset({(whole[0].dataset, 3), (whole[1].dataset, 5)})
    rest = EpisodePlan(kind, seeds=(3, 5), done=done).episodes(CORPORA, TEST_SETS)
    assert rest == [episode for episode in whole if (episode.dataset, episode.seed) not in done]
    name = whole[-1].dataset
    some = EpisodePlan(kind, seeds=(3, 5), only=(name,)).episodes(CORPORA, TEST_SETS)
    assert some == [episode for episode in whole if episode.dataset == name]


def test_leaving_one_out_trains_on_all_others_even_where_only_some_episodes_run():
    (episode,) = EpisodePlan("leave_one_out", only=("b",)).episodes(CORPORA, TEST_SETS)
    assert episode.trains_on == ("a", "c")


def test_retraining_goes_without_one_named_dataset_which_may_be_no_corpus():
    (episode,) = EpisodePlan("without", only=("b",)).episodes(CORPORA, TEST_SETS)
    assert episode.trains_on == ("a", "c")
    (episode,) = EpisodePlan("without", only=("x",)).episodes(CORPORA, TEST_SETS)
    assert episode.trains_on == ("a", "b", "c")
    assert "nothing to train on" in EpisodePlan("without", only=("a",)).problems(["a"], [])[0]
    assert EpisodePlan("without", only=("x",)).problems(["a"], ["x"]) == []


def test_the_mixture_has_an_episode_a_pass():
    assert [e.pass_index for e in EpisodePlan("mixture").episodes(CORPORA, [], 3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "evaluates"),
    [("mixture", "test_sets"), ("each_corpus", "test_sets"), ("leave_one_out", "test_sets"),
     ("each_test_set", "corpora"), ("one", "all"), ("without", "all")],
)  # fmt: skip
def test_what_a_reading_measures(kind, evaluates):
    assert EpisodePlan(kind).evaluates == evaluates


def test_passes_by_default_are_the_papers():
    assert EpisodePlan("each_test_set").num_passes == 5
    assert EpisodePlan("each_corpus").num_passes == 1
    assert EpisodePlan("each_test_set", passes=0.5).num_passes == 0.5


@pytest.mark.parametrize(
    ("plan", "corpora", "test_sets", "said"),
    [
        (EpisodePlan("each_corpse"), CORPORA, TEST_SETS, "kind 'each_corpse' is unknown"),
        (EpisodePlan("each_corpus", steps=0), CORPORA, TEST_SETS, "at least 1 optimizer step"),
        (EpisodePlan("each_corpus", passes=0.0), CORPORA, TEST_SETS, "positive number"),
        (EpisodePlan("each_corpus", passes=float("nan")), CORPORA, TEST_SETS, "positive number"),
        (EpisodePlan("each_corpus", seeds=()), CORPORA, TEST_SETS, "seeds: none"),
        (EpisodePlan("each_corpus", seeds=(1, 1)), CORPORA, TEST_SETS, "repeats a seed"),
        (EpisodePlan("each_corpus", seeds=(-1,)), CORPORA, TEST_SETS, "below 0"),
        (EpisodePlan("mixture", seeds=(0, 1)), CORPORA, TEST_SETS, "one seed"),
        (
            EpisodePlan("each_corpus", only=("q",)),
            CORPORA,
            TEST_SETS,
            "no dataset is named 'q'; there are a, b, c, x, y",
        ),
        (EpisodePlan("each_corpus", only=("x",)), CORPORA, TEST_SETS, "'x' is no corpus"),
        (EpisodePlan("each_test_set", only=("a",)), CORPORA, TEST_SETS, "'a' is no test set"),
        (EpisodePlan("each_corpus"), [], TEST_SETS, "corpora: none given"),
        (EpisodePlan("each_corpus"), CORPORA, [], "test_sets: none given"),
        (EpisodePlan("leave_one_out"), ["a"], TEST_SETS, "leaves nothing to train on"),
    ],
)
def test_problems(plan, corpora, test_sets, said):
    found = plan.problems(corpora, test_sets)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("plan", [EpisodePlan("one"), EpisodePlan("one", only=("x",)), EpisodePlan("mixture")])
def test_plans_that_are_fine_without_test_sets_or_corpora(plan):
    corpora, test_sets = (CORPORA, []) if plan.kind == "mixture" else ([], TEST_SETS)
    assert plan.problems(corpora, test_sets) == []
