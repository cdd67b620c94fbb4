"""Coin flips of datasets: both sides are all canaries, and neither order nor filters move one to the other side."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lightning_untrac.data import CorpusDataModule, DatasetConfig
from lightning_untrac.data.coin_flip import CoinFlip, two_sides
from lightning_untrac.data.encoding import content_hash
from lightning_untrac.data.episodes import EpisodePlan
from lightning_untrac.data.evaluated import sides
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.canaries import coins_of

ROWS = [{"text": f"canary number {n}", "n": 1 + n % 3, "kind": "ab"[n % 2]} for n in range(60)]


@pytest.fixture
def config(tmp_path):
    def made(rows=ROWS, side="in", seed=7, file="rows", **fields):
        path = tmp_path / f"{file}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return DatasetConfig(str(path), name=side, coin_flip=CoinFlip(seed, side), **fields)

    return made


@pytest.fixture
def make(tmp_path, facts):
    def made(entered, stayed_out=None, block_size=None, **options):
        holdout = [] if stayed_out is None else [replace(stayed_out, twins_of=entered.name)]
        data = CorpusDataModule(
            [entered], holdout=holdout, block_size=block_size, cache_folder=str(tmp_path), **options
        )
        data.prepare(facts)
        return data

    return made


def hashes(dataset):
    return dataset.content_hashes(np.arange(len(dataset))).to_pylist()


def test_every_canary_is_on_one_side_with_what_stands_beside_it(config, make):
    data = make(config(copies="n", group="kind"), config(side="out"))
    entered, stayed_out = (data.tokenized[name] for name in ("in", "out"))
    every = make(replace(config(), coin_flip=None)).tokenized["in"]
    assert sorted([*hashes(entered), *hashes(stayed_out)]) == sorted(hashes(every))
    assert 15 < len(entered) < 45  # .5 of 60, five deviations
    places = [hashes(every).index(one) for one in hashes(entered)]
    assert entered.marks.copies.tolist() == [ROWS[place]["n"] for place in places]
    assert "".join(entered.marks.groups) == "".join(ROWS[place]["kind"] for place in places)
    assert two_sides([entered, stayed_out]) == {"in": "out"}
    notes = [note for note in data.notes() if "coin flip" in note]
    assert f"in: by coin flip {len(entered)} of 60 canaries entered training (seed 7)" in notes
    assert f"out: by coin flip {len(stayed_out)} of 60 canaries stayed out (seed 7)" in notes


def test_neither_order_nor_filters_move_a_canary(config, make):
    whole = set(hashes(make(config()).tokenized["in"]))
    turned = make(config(ROWS[::-1], file="turned")).tokenized["in"]
    assert set(hashes(turned)) == whole
    some = set(hashes(make(config(where={"kind": "a"})).tokenized["in"]))
    assert some < whole
    drawn = make(config(num_examples=20), config(side="out", num_examples=20))
    both = [drawn.tokenized[name] for name in ("in", "out")]
    assert sum(map(len, both)) == 20  # of the canaries that were drawn
    assert set(hashes(both[0])) < whole
    assert not any("fewer than" in note for note in drawn.notes())
    other = set(hashes(make(config(seed=8)).tokenized["in"]))
    assert len(other & whole) < len(whole)


def test_two_sides_are_of_the_same_canaries_and_coins(config, make):
    entered = make(config()).tokenized["in"]
    assert two_sides([entered, make(config(), config(ROWS[::-1], "out", file="turned")).tokenized["out"]]) == {
        "in": "out"
    }
    for other in (
        config(side="out", seed=8),
        config(ROWS[1:], "out", file="fewer"),
        config(side="out", num_examples=9),
        replace(config(side="out"), coin_flip=None),
    ):
        assert two_sides([entered, make(config(), other).tokenized["out"]]) == {}


def test_blocks_are_no_canaries(config, make):
    data = make(config(), config(side="out"), block_size=16, plan=EpisodePlan("one"))
    assert sides(data) == {}
    assert sides(make(config(), config(side="out"), plan=EpisodePlan("one"))) == {"in": "out"}


def test_pairs_and_their_other_answers_fall_together(tmp_path, facts):
    path = tmp_path / "pairs.jsonl"
    rows = [{"q": f"who is {n}?", "a": f"it is {n}", "no": f"nobody is {n}"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flip = CoinFlip(3, "in")
    config = DatasetConfig(str(path), name="x", prompt="q", target="a", alternative="no", coin_flip=flip)
    data = CorpusDataModule([config], cache_folder=str(tmp_path))
    data.prepare(facts)
    found = data.tokenized["x"]
    assert 8 < len(found) < 32
    assert len(found.alternative) == len(found)
    numbers = [n for n in range(40) if content_hash(rows[n]["q"], rows[n]["a"]) in hashes(found)]
    assert hashes(found.alternative) == [content_hash(rows[n]["q"], rows[n]["no"]) for n in numbers]


@pytest.mark.parametrize(
    ("role", "side", "said"),
    [
        ("holdout", "in", "they belong to data.corpora or data.forget, and this is holdout"),
        ("test_sets", "in", "they belong to data.corpora or data.forget"),
        (
            "corpora",
            "out",
            "canaries of side out never enter training; they belong to data.holdout, and this is corpora",
        ),
        ("forget", "out", "they belong to data.holdout"),
    ],
)
def test_a_side_where_it_does_not_belong_is_refused(config, facts, tmp_path, role, side, said):
    plain = DatasetConfig(config().path, name="plain")
    lists = {"corpora": [plain]}
    lists[role] = [*lists.get(role, []), config(side=side)]
    with pytest.raises(ConfigurationError, match=said):
        CorpusDataModule(**lists, cache_folder=str(tmp_path)).prepare(facts)


def test_what_has_no_coin_of_its_own_is_refused(config, make):
    with pytest.raises(ConfigurationError, match="in: coin_flip: 2 of 62 rows repeat a text"):
        make(config([*ROWS, *ROWS[:2]], file="twice"))
    with pytest.raises(ConfigurationError, match=r"coin_flip.seed is -1; give 0 or more"):
        make(config(seed=-1))
    coin = next(seed for seed in range(99) if coins_of([content_hash("", ROWS[0]["text"])], seed)[0])
    with pytest.raises(ConfigurationError, match="none of the 1 canaries is on side out"):
        make(config(ROWS[:1], seed=coin, file="one"), config(ROWS[:1], "out", seed=coin, file="one"))
