from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_untrac import LanguageModule
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.gguf import folder_from_gguf, main

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS = 64, 96, 2, 4, 2
CHAT_TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of GPT-2's byte-level vocabulary (Radford et al. 2019, encoder.py)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def rope_layout(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix as llama.cpp orders them (convert_hf_to_gguf.py, ``permute``)."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, architecture: str = "llama", leave_out: str | None = None) -> dict[str, torch.Tensor]:
    """Write a tiny Llama with half of it in 8 bits, and return the values that the file stands for."""
    gguf = pytest.importorskip("gguf")
    tokens = [*SPECIAL, *byte_alphabet(), "he"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(48)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(5000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(["h e"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)

    rng = np.random.default_rng(0)
    values: dict[str, torch.Tensor] = {}

    def add(name: str, stored: str, *shape: int, heads: int | None = None, quantised: bool = False) -> None:
        value = rng.normal(0.0, 0.3, shape).astype(np.float32)
        if quantised:
            kind = gguf.GGMLQuantizationType.Q8_0
            packed = gguf.quants.quantize(value, kind)
            value = gguf.quants.dequantize(packed, kind).astype(np.float32)
        values[name] = torch.from_numpy(value)
        if stored == leave_out:
            return
        if quantised:
            writer.add_tensor(stored, packed, raw_dtype=kind)
        else:
            writer.add_tensor(stored, value if heads is None else rope_layout(value, heads))

    add("model.embed_tokens.weight", "token_embd.weight", len(tokens), HIDDEN)
    add("model.norm.weight", "output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        ours, theirs, head = f"model.layers.{layer}.", f"blk.{layer}.", HIDDEN // HEADS
        add(f"{ours}self_attn.q_proj.weight", f"{theirs}attn_q.weight", HIDDEN, HIDDEN, heads=HEADS)
        add(f"{ours}self_attn.k_proj.weight", f"{theirs}attn_k.weight", KV_HEADS * head, HIDDEN, heads=KV_HEADS)
        add(f"{ours}self_attn.v_proj.weight", f"{theirs}attn_v.weight", KV_HEADS * head, HIDDEN)
        add(f"{ours}self_attn.o_proj.weight", f"{theirs}attn_output.weight", HIDDEN, HIDDEN)
        add(f"{ours}mlp.gate_proj.weight", f"{theirs}ffn_gate.weight", INNER, HIDDEN, quantised=True)
        add(f"{ours}mlp.up_proj.weight", f"{theirs}ffn_up.weight", INNER, HIDDEN, quantised=True)
        add(f"{ours}mlp.down_proj.weight", f"{theirs}ffn_down.weight", HIDDEN, INNER, quantised=True)
        add(f"{ours}input_layernorm.weight", f"{theirs}attn_norm.weight", HIDDEN)
        add(f"{ours}post_attention_layernorm.weight", f"{theirs}ffn_norm.weight", HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def test_folder_holds_what_the_file_stands_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    values = write_gguf(tmp_path / "tiny.gguf")
    assert main([str(tmp_path / "tiny.gguf"), str(tmp_path / "model")]) == 0
    assert str(tmp_path / "model") in capsys.readouterr().out

    module = LanguageModule(str(tmp_path / "model"))  # as every verb loads it
    module.configure_model()
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + 257,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=48,
        rms_norm_eps=1e-5,
        rope_theta=5000.0,
        tie_word_embeddings=True,
    )
    reference = LlamaForCausalLM(config)
    assert reference.load_state_dict(values, strict=False).missing_keys == ["lm_head.weight"]  # tied
    ids = torch.randint(0, config.vocab_size, (3, 20), generator=torch.Generator().manual_seed(0))
    assert module.model is not None
    with torch.no_grad():
        ours, theirs = module.model.eval()(ids).logits, reference.eval()(ids).logits
    assert torch.equal(ours, theirs)
    assert theirs.std() > 0.1
    assert module.context_length == 48

    tokenizer = module.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer.convert_ids_to_tokens(tokenizer("he<|im_end|>h", add_special_tokens=False)["input_ids"]) == [
        "he",
        "<|im_end|>",
        "h",
    ]
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "hé"}], tokenize=False)
    assert chat == "<|im_start|>user\nhé<|im_end|>\n"
    assert tokenizer.decode(tokenizer(chat, add_special_tokens=False)["input_ids"]) == chat


def test_dtype(tmp_path: Path) -> None:
    values = write_gguf(tmp_path / "tiny.gguf")
    folder_from_gguf(tmp_path / "tiny.gguf", tmp_path / "model", dtype="bfloat16")
    module = LanguageModule(str(tmp_path / "model"), dtype="bfloat16")
    module.configure_model()
    name = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(module.model.state_dict()[name], values[name].bfloat16())  # type: ignore[union-attr]


def refused(*arguments: Any, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        folder_from_gguf(*arguments, **options)
    return str(caught.value)


def test_all_that_is_wrong_with_the_arguments_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"\x80\x02pickle")
    (tmp_path / "there").mkdir()
    said = refused(tmp_path / "model.gguf", tmp_path / "there", dtype="float8")
    assert "3 problems" in said
    assert "is no GGUF file" in said
    assert "is there already" in said
    assert "float8" in said
    assert "there is no file" in refused(tmp_path / "nothing.gguf", tmp_path / "new")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: write_gguf(path, architecture="mpt"), "mpt"),
        (lambda path: write_gguf(path, leave_out="blk.1.ffn_up.weight"), "model.layers.1.mlp.up_proj.weight"),
        (lambda path: path.write_bytes(b"GGUF\x03\x00\x00\x00"), "can't read it"),
    ],
    ids=["architecture", "a tensor is missing", "cut off"],
)
def test_what_cannot_be_read_is_refused_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Any], words: str
) -> None:
    pytest.importorskip("gguf")
    make(tmp_path / "odd.gguf")
    assert main([str(tmp_path / "odd.gguf"), str(tmp_path / "model")]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["odd.gguf"]


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert "lightning-untrac[gguf]" in refused(tmp_path / "model.gguf", tmp_path / "new")


def test_a_gguf_file_given_as_a_model_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    shutil.copytree(tmp_path, tmp_path / "folder", ignore=shutil.ignore_patterns("folder"))
    for given in (tmp_path / "model.gguf", tmp_path / "folder"):
        with pytest.raises(ConfigurationError, match=r"python -m lightning_untrac\.gguf .*model\.gguf"):
            _ = LanguageModule(str(given)).model_config
