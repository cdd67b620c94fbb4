"""Classifiers' heads: what they read, what is aligned with what, new ones and saved ones."""

import shutil

import pytest
import torch

from lightning_untrac import Pretraining
from lightning_untrac.data.collator import Collator
from lightning_untrac.errors import ConfigurationError

SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
BERT = {"model_type": "bert", "max_position_embeddings": 40, **SHAPE}
LLAMA = {"model_type": "llama", "num_key_value_heads": 2, "max_position_embeddings": 40, **SHAPE}
LABELS = ["no", "perhaps", "yes"]


def made(config, **options):
    module = Pretraining(**{"config": config, "tokenizer": "byte", "labels": LABELS, "dropout": False, **options})
    module.configure_model()
    return module


def batch(by_token=False):
    rows = [([9, 8, 7, 6], 2), ([5, 4], 0)]
    return Collator(0, targets_apart=True)(
        [
            {"input_ids": ids, "labels": [label] * len(ids) if by_token else [label], "dataset_index": 0,
             "example_index": index}
            for index, (ids, label) in enumerate(rows)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(("config", "reads"), [(BERT, "first"), (LLAMA, "last")])
def test_a_text_has_one_place_with_its_class_and_the_hidden_state_that_is_read(config, reads):
    module = made(config)
    assert (module.architecture.reads, module.architecture.problems) == (reads, ())
    assert module.context_length == 40
    assert (module.num_outcomes, module.task.labels) == (3, tuple(LABELS))
    seen = module.outputs_of(batch(), hidden_states=True)
    assert seen.logits.shape == (2, 1, 3)
    assert seen.targets.tolist() == [[2], [0]]
    assert {tuple(states.shape) for states in seen.hidden_states} == {(2, 1, 16)}
    last = seen.hidden_states[-1][:, 0]
    again = module.model.score(last) if reads == "last" else module.model.classifier(
        torch.tanh(module.model.bert.pooler.dense(last))
    )  # fmt: skip
    assert torch.allclose(again, seen.logits[:, 0], atol=1e-6)
    expected = torch.nn.functional.cross_entropy(seen.logits[:, 0], torch.tensor([2, 0]), reduction="sum")
    assert seen.loss.total.item() == pytest.approx(expected.item())
    assert int(module.num_targets(batch())) == 2


def test_padding_changes_nothing():
    module = made(LLAMA)
    together = module.outputs_of(batch()).logits[1]
    short = {key: value[1:, :2] if key == "input_ids" else value[1:] for key, value in batch().items()
             if key in ("input_ids", "labels")}  # fmt: skip
    assert torch.allclose(module.outputs_of(short).logits[0], together, atol=1e-6)


def test_tokens_have_classes_where_they_stand():
    module = made(BERT, task="token_classification")
    seen = module.outputs_of(batch(by_token=True), hidden_states=True)
    assert seen.logits.shape == (2, 4, 3)
    assert seen.targets.tolist() == [[2, 2, 2, 2], [0, 0, -100, -100]]
    assert seen.hidden_states[-1].shape == (2, 4, 16)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A saved encoder with a head for masked words."""
    from transformers import BertConfig, BertForMaskedLM, ByT5Tokenizer

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(vocab_size=384, **SHAPE)).save_pretrained(folder)
    ByT5Tokenizer().save_pretrained(folder)
    return str(folder)


def test_a_saved_encoder_gets_a_new_head_and_a_saved_classifier_keeps_its_own(encoder, tmp_path):
    def of(path, **options):
        module = Pretraining(path, dropout=False, **options)
        module.configure_model()
        return module

    first, again, other = (of(encoder, labels=LABELS, init_seed=seed) for seed in (1, 1, 2))
    assert first.new_head
    assert torch.equal(first.model.classifier.weight, again.model.classifier.weight)
    assert not torch.equal(first.model.classifier.weight, other.model.classifier.weight)
    assert torch.equal(
        first.model.bert.embeddings.word_embeddings.weight, other.model.bert.embeddings.word_embeddings.weight
    )
    first.model.save_pretrained(tmp_path)
    first.tokenizer.save_pretrained(tmp_path)
    saved = of(str(tmp_path))
    assert not saved.new_head
    assert saved.task.labels == tuple(LABELS)
    assert torch.equal(saved.model.bert.pooler.dense.weight, first.model.bert.pooler.dense.weight)
    with pytest.raises(ConfigurationError, match="the saved model's are no, perhaps, yes"):
        _ = Pretraining(str(tmp_path), labels=["a", "b", "c"]).task
    with pytest.raises(ConfigurationError, match="2 classes, and the saved model has 3"):
        _ = Pretraining(str(tmp_path), labels=2).task


def test_a_saved_encoder_lacks_no_more_than_the_head(encoder, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = load_file(f"{encoder}/model.safetensors")
    save_file({name: one for name, one in weights.items() if "layer.1" not in name}, tmp_path / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    shutil.copy(f"{encoder}/config.json", tmp_path)
    module = Pretraining(str(tmp_path), tokenizer="byte", labels=LABELS)
    with pytest.raises(ConfigurationError, match=r"lack \d+ parameters, such as bert.encoder.layer.1"):
        module.configure_model()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": None, "task": "sequence_classification"}, "model.labels: not given"),
        ({"labels": ["a", "a"]}, "named more than once"),
        ({"task": "regression"}, "'regression' is unknown"),
        ({"task": "language"}, "classes belong to a classifier"),
        ({"config": {"model_type": "t5", "d_model": 16}}, "t5 is an encoder-decoder"),
    ],
)
def test_settings_that_can_not_be(options, said):
    module = Pretraining(**{"config": BERT, "tokenizer": "byte", "labels": LABELS, **options})
    with pytest.raises(ConfigurationError, match=said):
        _ = module.task
