import hashlib

import numpy as np
import pytest
from datasets import Dataset

from lightning_untrac.data import DatasetConfig
from lightning_untrac.data.encoding import TokenizationConfig, content_hash
from lightning_untrac.data.tokenization import tokenize
from lightning_untrac.data.tokenized import PackedBlocks
from lightning_untrac.data.tokenizers import document_start, load_tokenizer, padding_token, tokenizer_fingerprint
from lightning_untrac.errors import ConfigurationError


@pytest.fixture(params=["byte", "bpe"])
def tokenizer(request, byte_tokenizer, bpe_tokenizer):
    return byte_tokenizer if request.param == "byte" else bpe_tokenizer


@pytest.fixture
def run(tmp_path, tokenizer):
    def tokenized(rows, how=None, folder=tmp_path / "tokens", with_tokenizer=tokenizer, **fields):
        config = DatasetConfig("unused", **{"name": "x", **fields})
        return tokenize(config, Dataset.from_list(rows), with_tokenizer, how or TokenizationConfig(), folder)

    return tokenized


def texts(*items):
    return [{"text": item} for item in items]


def pair(prompt, target):
    return {"prompt": prompt, "target": target}


def test_a_text_begins_with_the_document_start_and_is_all_target(run, tokenizer):
    data = run(texts("the baker", "é 日本", "x"))
    for index, text in enumerate(["the baker", "é 日本", "x"]):
        ids = [document_start(tokenizer), *tokenizer(text, add_special_tokens=False)["input_ids"]]
        assert data[index]["input_ids"].tolist() == ids
        assert data[index]["labels"].tolist() == ids
    assert data.num_targets == sum(len(data[i]["labels"]) - 1 for i in range(3))
    assert data.longest == data.lengths().max()
    assert data.max_token == max(data[i]["input_ids"].max() for i in range(3))


@pytest.mark.parametrize("separator", ["", " ", "\nAnswer: "])
def test_the_separator_belongs_to_the_target(run, tokenizer, separator):
    row = run([pair("p?", "t")], separator=separator)[0]
    assert tokenizer.decode(row["labels"][row["labels"] != -100]) == separator + "t"


def test_seq2seq_has_no_eos_on_the_source_and_one_on_the_target(run, tokenizer):
    row = run([pair("the baker?", "513")], TokenizationConfig(seq2seq=True))[0]
    assert row["input_ids"].tolist() == tokenizer("the baker?", add_special_tokens=False)["input_ids"]
    assert row["labels"].tolist() == [*tokenizer("513", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def test_seq2seq_needs_a_prompt(run):
    with pytest.raises(ConfigurationError, match="needs `prompt` and `target`"):
        run(texts("a"), TokenizationConfig(seq2seq=True))


def test_append_eos_only_where_bos_is_another_token(run, tokenizer):
    plain, ended = (
        run(texts("a b"))[0]["input_ids"],
        run(texts("a b"), TokenizationConfig(append_eos=True))[0]["input_ids"],
    )
    differs = tokenizer.bos_token_id not in (None, tokenizer.eos_token_id)
    assert ended.tolist() == [*plain, *([tokenizer.eos_token_id] if differs else [])]


@pytest.mark.parametrize("max_length", [2, 5, 9, 12, 100])
def test_cutting_spares_the_target_and_is_counted(run, max_length):
    rows = [pair("p" * 7, "t" * n) for n in (1, 3, 8, 20)]
    whole, cut = run(rows), run(rows, TokenizationConfig(max_length=max_length))
    for index in range(len(rows)):
        before, after = whole[index], cut[index]
        assert len(after["input_ids"]) == min(max_length, len(before["input_ids"]))
        assert after["input_ids"][0] == before["input_ids"][0]
        targets, kept = (x["labels"][1:][x["labels"][1:] != -100].tolist() for x in (before, after))
        assert kept == targets[: max_length - 1]
    assert cut.num_truncated == sum(length > max_length for length in whole.lengths())
    assert cut.longest == whole.longest
    assert cut.longest_after_cut == min(max_length, whole.longest)
    assert whole.num_truncated == 0


def test_cutting_seq2seq(run):
    data = run([pair("p" * 9, "t"), pair("p", "t" * 9), pair("p", "t")], TokenizationConfig(seq2seq=True, max_length=4))
    assert max(len(data[i][key]) for i in range(3) for key in data[i]) <= 4


@pytest.mark.parametrize("how", [TokenizationConfig(), TokenizationConfig(seq2seq=True)])
def test_empty_targets_are_left_out_and_counted(run, how):
    rows = [pair("p", ""), pair("p", "t")] * 3
    data = run(rows, how)
    assert (len(data), data.num_source_examples) == (3, 6)


def test_a_first_batch_of_empty_texts(run):
    data = run(texts(*[""] * 1500, "a"))
    assert (len(data), data.num_source_examples) == (1, 1501)


@pytest.mark.parametrize("rows", [texts(""), texts("", ""), [pair("p", "")]])
def test_no_target_at_all_is_an_error(run, rows):
    with pytest.raises(ConfigurationError, match="x: has no target token at all"):
        run(rows)


def test_one_example_is_enough(run):
    data = run(texts("a"))
    assert len(data) == 1
    assert len(PackedBlocks(data, 8)) == 1


# -- subsamples --------------------------------------------------------------------------------------------------------


def test_a_subsample_is_frozen_by_its_seed_and_repeats_nothing(run):
    rows = texts(*(f"text {i}" for i in range(50)))

    def hashes(**fields):
        data = run(rows, **fields)
        hashes = [data.content_hash(i) for i in range(len(data))]
        assert data.content_hashes(np.arange(len(data))[::-1]).to_pylist() == hashes[::-1]
        return hashes

    everything, some = hashes(), hashes(num_examples=20, sample_seed=3)
    assert len(set(some)) == 20
    assert [h for h in everything if h in set(some)] == some  # in the order of the file
    assert hashes(num_examples=20, sample_seed=3, name="other") == some
    assert hashes(num_examples=20, sample_seed=4) != some
    assert set(hashes(num_examples=10, sample_seed=3)) < set(some)
    assert hashes(num_examples=99) == everything


def test_content_hash_is_of_the_text(run):
    data = run([pair("p", "t")])
    assert data.content_hash(0) == content_hash("p", "t") == hashlib.sha256(b"p\x1ft").hexdigest()[:16]


# -- cache -------------------------------------------------------------------------------------------------------------


def test_the_cache_is_used_and_never_stale(run, tmp_path, byte_tokenizer, bpe_tokenizer):
    folder = tmp_path / "tokens"

    def count(*args, **fields):
        run(*args, **fields)
        return len(list(folder.iterdir()))

    assert count(texts("a", "b")) == 1
    (file,) = folder.iterdir()
    stamp = file.stat().st_mtime_ns
    assert count(texts("a", "b"), name="renamed") == 1
    assert file.stat().st_mtime_ns == stamp
    assert count(texts("a", "c")) == 2
    assert count(texts("ab", "")) == 3
    assert count(texts("a", "b"), TokenizationConfig(max_length=2)) == 4
    assert count([pair("a", "b")]) == 5
    assert count([pair("a", "b")], separator="") == 6
    assert count([pair("a", "b")], TokenizationConfig(seq2seq=True)) == 7
    for other in (byte_tokenizer, bpe_tokenizer):
        run(texts("a", "b"), with_tokenizer=other)
    assert len(list(folder.iterdir())) == 8


def test_reading_the_cache_gives_the_same_arrays_in_place(run):
    rows = texts(*("word " * (i % 7 + 1) for i in range(2500)))
    first, second = run(rows), run(rows)
    for index in (0, 999, 1000, 2499):
        assert np.array_equal(first[index]["input_ids"], second[index]["input_ids"])
        array = second[index]["input_ids"]
        assert array.dtype == np.int32
        assert not array.flags.owndata  # a view of the memory-mapped file
        assert not array.flags.writeable


def test_a_folder_that_cant_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"data\.cache_folder: can't write"):
        run(texts("a"), folder=tmp_path / "file" / "below")


# -- blocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [3, 4, 7, 64, 1000, 10**6])
def test_blocks_cover_all_tokens_in_order(run, block_size):
    data = run([*texts(*(f"document number {i} " * (i % 5 + 1) for i in range(1200)))])
    blocks = PackedBlocks(data, block_size)
    for key in ("input_ids", "labels"):
        flat = np.concatenate([data[i][key] for i in range(len(data))])
        packed = np.concatenate([blocks[i][key] for i in range(len(blocks))])
        assert np.array_equal(packed, flat)
    assert blocks.lengths().tolist() == [len(blocks[i]["input_ids"]) for i in range(len(blocks))]
    assert blocks.lengths().min() > 1
    assert set(blocks.lengths()[:-2]) <= {block_size}
    assert len(blocks) == -(-len(flat) // block_size)


def test_a_lone_last_token_gets_company(run, tokenizer):
    lengths = {}
    for count in range(3, 9):
        data = run(texts("x" * count))
        lengths[data.input_ids.num_tokens % 4] = PackedBlocks(data, 4).lengths().tolist()
    assert 1 not in [length for each in lengths.values() for length in each]


def test_blocks_of_prompts_score_targets_only(run):
    data = run([pair("pp", "t")] * 10)
    blocks = PackedBlocks(data, 7)
    total = sum((blocks[i]["labels"] != -100).sum() for i in range(len(blocks)))
    assert total == data.num_targets


# -- tokenizers --------------------------------------------------------------------------------------------------------


def test_tokenizers_load_by_name_and_folder(bpe_folder, tmp_path):
    assert tokenizer_fingerprint(load_tokenizer("byte")) == tokenizer_fingerprint(load_tokenizer("byte"))
    assert tokenizer_fingerprint(load_tokenizer(str(bpe_folder))) != tokenizer_fingerprint(load_tokenizer("byte"))
    load_tokenizer("byte").save_pretrained(tmp_path / "byte")
    assert tokenizer_fingerprint(load_tokenizer(str(tmp_path / "byte"))) == tokenizer_fingerprint(
        load_tokenizer("byte")
    )


@pytest.mark.parametrize("broken", [False, True])
def test_a_tokenizer_that_isnt_there_or_is_broken(tmp_path, broken):
    if broken:
        (tmp_path / "tokenizer.json").write_text("{}")
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ConfigurationError, match=r"tokenizer: (can't load|there is no folder)"):
        load_tokenizer(str(tmp_path if broken else tmp_path / "nothing"))


def test_document_start_and_padding(byte_tokenizer, bpe_tokenizer):
    assert document_start(byte_tokenizer) == byte_tokenizer.eos_token_id
    assert document_start(bpe_tokenizer) == bpe_tokenizer.bos_token_id != bpe_tokenizer.eos_token_id
    assert padding_token(bpe_tokenizer, 400) == bpe_tokenizer.pad_token_id


def test_padding_lies_within_the_models_vocabulary(bpe_folder):
    tokenizer = load_tokenizer(str(bpe_folder))
    tokenizer.add_special_tokens({"pad_token": "[new]"})
    size = tokenizer.pad_token_id  # of a model whose embedding was not made larger
    assert padding_token(tokenizer, size + 1) == tokenizer.pad_token_id
    assert padding_token(tokenizer, size) == tokenizer.eos_token_id
    assert padding_token(tokenizer, 1) == 0


@pytest.mark.parametrize(
    ("wanted", "token"), [(None, "<s>"), ("bos", "<s>"), ("eos", "</s>"), ("<pad>", "<pad>"), ("nothing", None)]
)
def test_what_documents_begin_with_can_be_chosen(run, bpe_tokenizer, wanted, token):
    row = run(texts("the baker"), TokenizationConfig(document_start=wanted), with_tokenizer=bpe_tokenizer)
    body = bpe_tokenizer("the baker", add_special_tokens=False)["input_ids"]
    start = [] if token is None else [bpe_tokenizer.convert_tokens_to_ids(token)]
    assert row[0]["input_ids"].tolist() == row[0]["labels"].tolist() == [*start, *body]
    assert row.num_targets == len(body) - (token is None)  # nothing predicts a first token


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("bos", "the tokenizer has no BOS token; give 'bos', 'eos', 'nothing'"), ("<|x|>", "has no '<|x|>' token")],
)
def test_a_beginning_that_the_tokenizer_lacks(byte_tokenizer, wanted, said):
    with pytest.raises(ConfigurationError) as caught:
        document_start(byte_tokenizer, wanted)
    assert said in caught.value.problems[0]
    assert caught.value.problems[0].startswith("data.document_start: ")


@pytest.fixture(scope="module")
def plain_tokenizer():
    """One without any special token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[UNK]": 0, "heron": 1, "reed": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (TokenizationConfig(seq2seq=True), "has no EOS token, and an encoder-decoder's targets end in one"),
        (TokenizationConfig(append_eos=True, document_start="nothing"), "has no EOS token, and data.append_eos asks"),
        (TokenizationConfig(), "has neither a BOS nor an EOS token"),
    ],
)
def test_special_tokens_are_missed_only_where_they_are_needed(run, plain_tokenizer, how, said):
    with pytest.raises(ConfigurationError) as caught:
        run([pair("heron", "reed")], how, with_tokenizer=plain_tokenizer)
    assert len(caught.value.problems) == 1
    assert said in caught.value.problems[0]
    bare = run([pair("heron", "reed")], TokenizationConfig(document_start="nothing"), with_tokenizer=plain_tokenizer)
    assert (bare[0]["input_ids"].tolist(), bare[0]["labels"].tolist()) == ([1, 2], [-100, 2])


def test_the_fingerprint_does_not_know_how_the_last_call_cut_and_padded(bpe_folder):
    tokenizer = load_tokenizer(str(bpe_folder))
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a b c", "d"], truncation=True, max_length=2, padding="max_length")
    assert tokenizer.backend_tokenizer.truncation is not None
    assert tokenizer_fingerprint(tokenizer) == before
    assert tokenizer.backend_tokenizer.truncation is not None


@pytest.mark.parametrize("setting", ["lower", "case"])
def test_settings_of_a_slow_tokenizer_are_part_of_its_fingerprint(tmp_path, setting):
    from transformers.models.canine.tokenization_canine import CanineTokenizer

    plain, other = CanineTokenizer(), CanineTokenizer()
    assert tokenizer_fingerprint(plain) == tokenizer_fingerprint(other)
    other._tokenize = lambda text: list(getattr(text, "lower" if setting == "lower" else "swapcase")())
    assert tokenizer_fingerprint(plain) != tokenizer_fingerprint(other)
