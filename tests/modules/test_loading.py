"""Saved folders as people have them: what doesn't load is refused in one sentence, what fits loads."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lightning_untrac import LanguageModule
from lightning_untrac.data.tokenizers import load_tokenizer
from lightning_untrac.errors import ConfigurationError

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path, model_folders: Callable[..., str]) -> Path:
    return Path(shutil.copytree(model_folders("llama"), tmp_path / "model"))


def problem(folder: Path | str, **options: Any) -> str:
    """The one sentence with which a model is refused."""
    module = LanguageModule(str(folder), **options)
    with pytest.raises(ConfigurationError) as caught:
        module.configure_model()
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0]
    return caught.value.problems[0]


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


class Harmful:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def as_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Harmful()}, protocol=2))


def cut_short(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def wrong_shape(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    name = next(name for name in weights if "q_proj" in name)
    save_file({**weights, name: torch.zeros(3, 3)}, folder / WEIGHTS, metadata={"format": "pt"})


def missing_shard(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    sorted(folder.glob("model-0*.safetensors"))[0].unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (as_pickle, "something else than tensors"),
        (lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"), ""),
        (lambda folder: ((folder / WEIGHTS).unlink(), (folder / "pytorch_model.bin").touch()), "something else"),
        (cut_short, "incomplete metadata"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "header too small"),
        (wrong_shape, "other sizes than the saved weights"),
        (missing_shard, "model-00001-of"),
        (lambda folder: (folder / WEIGHTS).unlink(), "no file named model.safetensors"),
    ],
)
def test_weights_that_are_damaged(
    folder: Path, damage: Callable[[Path], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    damage(folder)
    message = problem(folder)
    assert message.startswith("model: can't load the weights of")
    assert said in message
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        ({}, {"attn_implementation": "flash_attention_2"}, "choose another model.attn_implementation"),
        ({}, {"attn_implementation": "nope"}, "choose another model.attn_implementation"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, {}, "before it was quantised"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, {}, "before it was quantised"),
        ({"hidden_act": "nope"}, {}, "KeyError: 'nope'"),
        ({"num_attention_heads": 3}, {}, "not a multiple of the number of attention heads"),
    ],
)
def test_models_that_cannot_be_loaded_say_why(
    folder: Path, fields: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    change_config(folder, **fields)
    assert said in problem(folder, **options)


@pytest.mark.parametrize(
    ("model_type", "field", "value"),
    [
        ("qwen3_moe", "head_dim", 16),
        ("t5", "decoder_start_token_id", 0),
        ("llama", "rope_theta", 500.0),
        ("llama", "head_dim", 16),
    ],
)
def test_fields_that_the_architecture_reads_are_taken(model_type: str, field: str, value: Any) -> None:
    module = LanguageModule(config={"model_type": model_type, field: value}, tokenizer="byte")
    written = module.model_config.to_dict()
    assert written.get(field) == value or written["rope_parameters"][field] == value


@pytest.mark.parametrize(("model_type", "field"), [("llama", "hiden_size"), ("gpt2", "head_dim"), ("t5", "rope_theta")])
def test_fields_that_nothing_reads_are_refused(model_type: str, field: str) -> None:
    module = LanguageModule(config={"model_type": model_type, field: 8}, tokenizer="byte")
    with pytest.raises(ConfigurationError, match=f"has no field {field}"):
        module.model_config  # noqa: B018


# -- adapters ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def adapters(tmp_path: Path, model_folders: Callable[..., str]) -> Callable[..., tuple[Path, Any]]:
    """Save adapters of a kind on the tiny Llama, and give their folder and the adapted model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def save(config: Any = None, more_rows: int = 0, **options: Any) -> tuple[Path, Any]:
        model = AutoModelForCausalLM.from_pretrained(model_folders("llama"))
        if more_rows:
            model.resize_token_embeddings(model.config.vocab_size + more_rows)
        lora = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], init_lora_weights=False, **options)
        adapted = get_peft_model(model, config or lora)
        adapted.save_pretrained(tmp_path / "adapters")
        return tmp_path / "adapters", adapted.eval()

    return save


def test_adapters_load_with_their_weights(adapters: Callable[..., tuple[Path, Any]]) -> None:
    folder, expected = adapters()
    module = LanguageModule(str(folder))
    module.configure_model()
    assert module.model is not None
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        assert torch.equal(module.model.eval()(input_ids=ids).logits, expected(input_ids=ids).logits)
    trainable = module.trainable_parameters()
    assert trainable
    assert all("lora_" in name for name in trainable)


def test_adapters_that_match_no_module_are_refused(adapters: Callable[..., tuple[Path, Any]]) -> None:
    folder, _ = adapters()
    weights = load_file(folder / "adapter_model.safetensors")
    renamed = {key.replace("model.model", "model"): tensor for key, tensor in weights.items()}
    save_file(renamed, folder / "adapter_model.safetensors")
    message = problem(folder)
    assert f"{len(weights)} of its weights have no place in the model" in message
    assert f"{len(weights)} weights of the adapters are missing" in message


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_adapters_over_resized_embeddings_load(adapters: Callable[..., tuple[Path, Any]]) -> None:
    folder, expected = adapters(more_rows=8, modules_to_save=["embed_tokens"])
    module = LanguageModule(str(folder), tokenizer="byte")
    assert module.vocabulary_size == 392
    module.configure_model()
    assert module.model is not None
    ids = torch.arange(380, 392)[None]  # the new rows
    with torch.no_grad():
        logits = module.model.eval()(input_ids=ids).logits
        assert logits.shape[-1] == 392
        assert torch.equal(logits, expected(input_ids=ids).logits)


def test_adapters_that_put_tokens_before_a_text_are_refused(adapters: Callable[..., tuple[Path, Any]]) -> None:
    from peft import PromptTuningConfig

    folder, _ = adapters(PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    (found,) = LanguageModule(str(folder)).problems()
    assert "PROMPT_TUNING" in found


def test_an_adapter_folder_brings_its_own_tokenizer(adapters: Callable[..., tuple[Path, Any]]) -> None:
    folder, _ = adapters()
    own = load_tokenizer("byte")
    own.add_tokens(["<|turn|>"])
    assert LanguageModule(str(folder)).tokenizer("<|turn|>", add_special_tokens=False)["input_ids"] != [384]
    own.save_pretrained(folder)
    assert LanguageModule(str(folder)).tokenizer("<|turn|>", add_special_tokens=False)["input_ids"] == [384]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "can't read adapter_config.json"),
        ('{"peft_type": "LORA"}', "names no base model"),
        ("{}", "names no base model"),
    ],
)
def test_a_broken_adapter_config(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    (found,) = LanguageModule(str(tmp_path)).problems()
    assert said in found
