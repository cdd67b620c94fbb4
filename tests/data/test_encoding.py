"""Targets by their place in the whole text, held against what the tokenizer makes of the whole text."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lightning_untrac.data.encoding import Encoder, TokenizationConfig

LINES = ["the wren egg", "wren nest egg wing", "Q: who?\nA: the heron", "a café by the sea", "heron reed shore"]


def trained(normalizer=None, pre=None, special=("<s>", "</s>"), alphabet=()):
    inner = Tokenizer(models.BPE())
    inner.normalizer, inner.pre_tokenizer = normalizer, pre
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[*special], initial_alphabet=list(alphabet))
    inner.train_from_iterator(LINES * 9, trainer)
    return inner


def wrapped(inner):
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def make(kind):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if kind == "prefix":  # as Llama-2 and Mistral: a space before every text
        inner = trained(
            normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
            pre_tokenizers.Split("▁", "merged_with_next"),
        )
        inner.pre_tokenizer = None
        return wrapped(inner)
    if kind == "bytes":  # as GPT-2
        inner = trained(None, byte_level, alphabet=alphabet)
        inner.decoder = decoders.ByteLevel()
        return wrapped(inner)
    if kind == "trimmed":  # as RoBERTa: spaces are left out of the offsets
        from tokenizers import processors

        inner = trained(None, byte_level, alphabet=alphabet)
        inner.post_processor = processors.ByteLevel(trim_offsets=True)
        return wrapped(inner)
    if kind == "greedy":  # nothing keeps a word from melting into the one before
        return wrapped(trained(alphabet=sorted(set("".join(LINES)))))
    return wrapped(
        trained(normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), byte_level, alphabet=alphabet)
    )


KINDS = ["prefix", "bytes", "trimmed", "greedy", "normalised"]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return make(request.param)


def encode(tokenizer, rows, separator=" ", **how):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    out = Encoder(tokenizer, TokenizationConfig(**how), separator)(columns)
    return [{key: np.asarray(out[key][i]).tolist() for key in out} for i in range(len(out["input_ids"]))]


def pair(line, separator=" "):
    prompt, _, target = line.rpartition(separator)
    return {"prompt": prompt, "target": target}


def whole(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


class Slow:
    """A tokenizer that can't say where its tokens lie."""

    is_fast = False

    def __init__(self, fast):
        self.fast, self.bos_token_id, self.eos_token_id = fast, fast.bos_token_id, fast.eos_token_id

    def __call__(self, texts, **_):
        return {"input_ids": self.fast(texts, add_special_tokens=False)["input_ids"]}


@pytest.mark.parametrize("slow", [False, True])
def test_a_pairs_tokens_are_those_of_its_whole_text(tokenizer, slow):
    rows = encode(Slow(tokenizer) if slow else tokenizer, [pair(line) for line in LINES])
    for line, row in zip(LINES, rows, strict=True):
        ids = whole(tokenizer, line)
        assert row["input_ids"] == [tokenizer.bos_token_id, *ids]
        # A prompt's own tokens are the beginning of the whole's here, except those that reach into the target.
        before = whole(tokenizer, pair(line)["prompt"])
        alike = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        assert row["labels"] == [*[-100] * (1 + alike), *ids[alike:]]
        assert row["num_targets"] == len(ids) - alike > 0


def test_two_pieces_would_have_been_other_tokens():
    tokenizer = make("prefix")
    assert len(whole(tokenizer, " egg")) == 2
    (row,) = encode(tokenizer, [{"prompt": "wren nest", "target": "egg"}])
    assert row["num_targets"] == 1
    assert tokenizer.convert_ids_to_tokens(row["labels"][-1]) == "▁egg"


@pytest.mark.parametrize("slow", [False, True])
def test_a_token_over_the_border_is_a_target(slow):
    tokenizer = make("greedy")
    text = LINES[0]
    ids, offsets = (
        tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[key]
        for key in ("input_ids", "offset_mapping")
    )
    assert len(ids) == 1  # the whole line became one token
    (row,) = encode(Slow(tokenizer) if slow else tokenizer, [{"prompt": text[:5], "target": text[5:]}], separator="")
    assert offsets == [(0, len(text))]
    assert row["labels"] == [-100, *ids]  # with the part of the prompt that it holds


def test_a_letter_that_is_composed_over_the_border():
    tokenizer = make("normalised")
    text = "a cafe\u0301 by"
    (row,) = encode(tokenizer, [{"prompt": text[:6], "target": text[6:]}], separator="")
    assert row["input_ids"][1:] == whole(tokenizer, text) == whole(tokenizer, "a café by")
    targets = [label for label in row["labels"] if label != -100]
    assert targets == whole(tokenizer, text)[-len(targets) :]
    assert tokenizer.convert_ids_to_tokens(targets)[-1] == "Ġby"


def test_an_empty_prompt_has_only_targets(tokenizer):
    (row,) = encode(tokenizer, [{"prompt": "", "target": "wren"}])
    assert row["labels"] == row["input_ids"] == [tokenizer.bos_token_id, *whole(tokenizer, " wren")]


# -- beginning and end -------------------------------------------------------------------------------------------------


def test_no_second_bos(tokenizer):
    plain, begun = encode(tokenizer, [{"text": "wren nest"}, {"text": "<s>wren nest"}])
    assert begun["input_ids"] == whole(tokenizer, "<s>wren nest")
    assert begun["input_ids"].count(tokenizer.bos_token_id) == plain["input_ids"].count(tokenizer.bos_token_id) == 1
    assert begun["num_targets"] == len(begun["input_ids"]) - 1
    (pairs,) = encode(tokenizer, [{"prompt": "<s>wren", "target": "nest"}])
    assert pairs["input_ids"] == whole(tokenizer, "<s>wren nest")
    assert pairs["labels"][0] == -100


def test_a_text_of_bos_alone_has_nothing_to_predict(tokenizer):
    assert len(encode(tokenizer, [{"text": "<s>"}, {"text": ""}, {"text": "wren"}])) == 1


@pytest.mark.parametrize("how", [{"append_eos": True}, {"seq2seq": True}])
def test_no_second_eos(tokenizer, how):
    row = {"prompt": "wren", "target": "nest"}
    for rows in ([row], [{**row, "target": "nest</s>"}]):
        (made,) = encode(tokenizer, rows, **how)
        assert made["labels"][-1] == tokenizer.eos_token_id
        assert made["labels"].count(tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("max_length", [2, 4, 7])
def test_cutting_keeps_the_token_before_the_first_target(max_length):
    tokenizer = make("bytes")
    rows = [{"prompt": "q" * 9, "target": "z" * 3}]
    ids = whole(tokenizer, "q" * 9 + " " + "z" * 3)
    for start in (None, "nothing"):
        (row,) = encode(tokenizer, rows, max_length=max_length, document_start=start)
        targets = [label for label in row["labels"][1:] if label != -100]
        expected = ids[-4:] if len(ids) > 8 else ids
        assert targets == expected[: max_length - 1]
        assert row["labels"][0] == -100
        assert len(row["input_ids"]) == max_length
        assert row["truncated"]


# -- surprising texts --------------------------------------------------------------------------------------------------


SURPRISES = [
    "\u200bzero\u200d width\ufeff",
    "\u202e\u05e9\u05dc\u05d5\u05dd \u05e2\u202c",
    "مرحبا",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "e\u0301" * 9,
    "\u0085\u2028\x0b\x0c",
    "\U0010ffff\ue000",
    "\0nul",
]


@pytest.mark.parametrize("kind", ["bytes", "byte"])
def test_any_valid_text_comes_back(kind, byte_tokenizer):
    tokenizer = byte_tokenizer if kind == "byte" else make(kind)
    for text, row in zip(SURPRISES, encode(tokenizer, [{"text": text} for text in SURPRISES]), strict=True):
        decoded = tokenizer.decode(row["input_ids"][1:], clean_up_tokenization_spaces=False)
        assert decoded == text
    rows = encode(tokenizer, [{"prompt": text, "target": text} for text in SURPRISES], separator="|")
    for text, row in zip(SURPRISES, rows, strict=True):
        targets = [label for label in row["labels"] if label != -100]
        assert tokenizer.decode(targets, clean_up_tokenization_spaces=False) == "|" + text


def test_a_very_long_line(byte_tokenizer):
    (row,) = encode(byte_tokenizer, [{"text": "x" * 300_000}])
    assert row["num_targets"] == 300_000
    (row,) = encode(make("bytes"), [{"prompt": "y" * 100_000, "target": "z"}])
    assert row["num_targets"] == len(whole(make("bytes"), " z"))


def test_the_hash_tells_conversations_and_tools_apart(byte_tokenizer):
    byte_tokenizer = type(byte_tokenizer)(
        chat_template="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    )
    messages = json.dumps([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])
    tools = json.dumps([{"type": "function"}])
    rows = encode(byte_tokenizer, [{"messages": messages, "tools": ""}, {"messages": messages, "tools": tools}])
    assert rows[0]["content_hash"] != rows[1]["content_hash"]
