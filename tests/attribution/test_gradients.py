"""Gradients of whole datasets against autograd, example by example, and the scores that are made of them."""

from __future__ import annotations

import sys
from typing import Any

import lightning.pytorch as L
import numpy as np
import processes
import pytest
import torch
import yaml

from lightning_untrac import CorpusDataModule, DatasetConfig, Unlearning
from lightning_untrac.attribution import METHODS
from lightning_untrac.attribution.passes import go_through
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.data.passes import DatasetPass
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore


def reference(module: Any, examples: Any, indices: Any = None) -> tuple[torch.Tensor, float]:
    """Gradient of the mean loss per token (flat, float64) and that loss, from single examples without padding."""
    module.model.eval()
    parameters = [p for p in module.model.parameters() if p.requires_grad]
    total, tokens, losses = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64), 0, 0.0
    for index in range(len(examples)) if indices is None else indices:
        ids = torch.tensor(examples[index]["input_ids"].tolist())[None]
        labels = torch.tensor(examples[index]["labels"].tolist())[None]
        if module.is_seq2seq:
            logits, targets = module.model(input_ids=ids, labels=labels).logits[0], labels[0]
        else:
            logits, targets = module.model(input_ids=ids).logits[0, :-1], labels[0, 1:]
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum", ignore_index=-100)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
        total += torch.cat([part.flatten() for part in parts]).double()
        tokens += int((targets != -100).sum())
        losses += loss.item()
    return total / tokens, losses / tokens


def loaded(folder: str, **options: Any) -> Unlearning:
    module = Unlearning(folder, **options)
    module.configure_model()
    return module


def flat(module: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.model.parameters()])


@pytest.fixture
def scoring_run(tmp_path: Any) -> Any:
    """What a method may use, for a model's folder and a DataModule."""

    def make(data: Any, folder: str, max_examples: int | None = None, **options: Any) -> ScoringRun:
        def trainer(**arguments: Any) -> L.Trainer:
            quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
            arguments["callbacks"] = []
            return L.Trainer(**{**quiet, **arguments})

        data.prepare(Unlearning(folder, **options))
        return ScoringRun(tmp_path, lambda: Unlearning(folder, **options), trainer, data, max_examples=max_examples)

    return make


CASES = {
    "packed llama": ("llama", {"block_size": 20}, {}),
    "gpt2": ("gpt2", {}, {}),
    "a part of gpt2": ("gpt2", {"block_size": 16}, {"trainable": ["mlp", "last_1_layer"]}),
    "lora": ("llama", {}, {"lora": {"r": 2, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}}),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_gradients_of_single_examples(case, make_data, model_folders, scoring_run):
    architecture, data_options, options = CASES[case]
    folder = model_folders(architecture)
    data = make_data(eval_batch_size=4, **data_options)
    run = scoring_run(data, folder, **options)
    module = loaded(folder, **options)
    corpora = torch.stack([reference(module, data.training_examples(name))[0] for name in data.corpus_names])
    tests = torch.stack([reference(module, data.tokenized_test_sets[name])[0] for name in data.test_set_names])
    products = (corpora @ tests.T).numpy()
    assert METHODS["graddot"]().scores(run) == pytest.approx(products, rel=2e-4, abs=1e-6 * np.abs(products).max())
    if case != "packed llama":
        return
    lengths = corpora.norm(dim=1).numpy()[:, None] * tests.norm(dim=1).numpy()
    assert METHODS["gradcos"]().scores(run) == pytest.approx(products / lengths, rel=2e-4)
    shares = np.array([corpus.num_targets for corpus in data.tokenized_corpora.values()], dtype=float)
    shares /= shares.sum()
    mixture = (torch.tensor(shares)[:, None] * corpora).sum(0)
    odds = torch.tensor(shares / (1 - shares))[:, None]
    centred = (odds * (corpora - mixture) @ tests.T).numpy()
    found = METHODS["centred_graddot"]().scores(run)
    assert found == pytest.approx(centred, rel=1e-3, abs=1e-5 * np.abs(products).max())
    assert (1 - shares) @ found == pytest.approx(np.zeros(2), abs=1e-9)


def test_an_encoder_and_decoder(pair_files, cache_folder, model_folders, scoring_run):
    configs = [
        DatasetConfig(path=str(path), name=name, prompt="prompt", target="target") for name, path in pair_files.items()
    ]
    data = CorpusDataModule(configs[:2], configs[2:], eval_batch_size=3, cache_folder=cache_folder)
    run = scoring_run(data, model_folders("t5"))
    module = loaded(model_folders("t5"))
    test = reference(module, data.tokenized_test_sets["ask-birds"])[0]
    expected = [float(reference(module, data.training_examples(name))[0] @ test) for name in ("birds", "ships")]
    assert METHODS["graddot"]().scores(run)[:, 0] == pytest.approx(expected, rel=2e-4)


def test_a_bound_and_the_batch_size(make_data, model_folders, scoring_run):
    folder = model_folders("llama")
    scores = [
        METHODS["graddot"]().scores(scoring_run(make_data(eval_batch_size=size), folder, max_examples=5))
        for size in (1, 3, 32)
    ]
    for one in scores[1:]:
        assert one == pytest.approx(scores[0], rel=1e-4)
    data, module = make_data(), loaded(folder)
    data.prepare(module)
    drawn = {n: np.random.default_rng(0).permutation(len(d))[:5] for n, d in data.tokenized_corpora.items()}
    test = reference(module, data.tokenized_test_sets["ask-ships"])[0]
    expected = [float(reference(module, data.training_examples(n), drawn[n])[0] @ test) for n in data.corpus_names]
    assert scores[0][:, 1] == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("architecture", "dtype"), [("gpt2", "float64"), ("llama", "bfloat16")])
def test_weights_stay_and_every_quantity_is_right(architecture, dtype, make_data, model_folders, scoring_run):
    folder = model_folders(architecture, dtype)
    data = make_data(eval_batch_size=4)
    found: dict[str, Any] = {}
    passes = [DatasetPass("birds", "squares"), DatasetPass("ask-birds", "loss"), DatasetPass("birds", "gradient")]
    module = go_through(
        scoring_run(data, folder, dtype=dtype),
        "test",
        passes,
        lambda m, one, result: found.update({one.quantity: result}),
    )
    before = loaded(folder, dtype=dtype)
    assert torch.equal(flat(module.phase), flat(before))
    assert all(p.grad is None for p in module.phase.model.parameters())
    kind = torch.float64 if dtype == "float64" else torch.float32
    assert all(tensor.dtype == kind for tensor in found["gradient"].tensors.values())
    loose = 1e-9 if dtype == "float64" else 0.05
    birds = data.tokenized_corpora["birds"]
    assert found["loss"].loss == pytest.approx(reference(before, data.tokenized_test_sets["ask-birds"])[1], rel=loose)
    gradient = torch.cat([tensor.flatten() for tensor in found["gradient"].tensors.values()]).double()
    expected = reference(before, birds)[0]
    assert (gradient - expected).norm() < loose * expected.norm()
    single = torch.stack([reference(before, birds, [index])[0] for index in range(len(birds))])
    squares = torch.cat([tensor.flatten() for tensor in found["squares"].tensors.values()]).double()
    assert (squares - single.square().mean(0)).norm() < loose * squares.norm()
    assert found["squares"].num_examples == len(birds) == 12
    assert found["gradient"].num_tokens == birds.num_targets


def test_one_step_of_sgd_tends_to_it(trace, make_data, model_folders, scoring_run):
    lr = 1e-6
    run = scoring_run(make_data(), model_folders("gpt2", "float64"), dtype="float64")
    scores = METHODS["graddot"]().scores(run)
    final, _, _ = trace(
        data=make_data(batch_size=1000), architecture="gpt2", dtype="float64",
        optimizer=lambda p: torch.optim.SGD(p, lr=lr), steps=1,
    )  # fmt: skip
    for (corpus, test_set), influence in final.items():
        score = scores[run.data.corpus_names.index(corpus), run.data.test_set_names.index(test_set)]
        assert influence / lr == pytest.approx(score, rel=1e-3, abs=1e-6)


def test_one_corpus_has_no_share(make_data, model_folders, scoring_run):
    run = scoring_run(make_data(("birds",)), model_folders("llama"))
    for method in ("centred_graddot", "fisher_share"):
        with pytest.raises(ConfigurationError, match=f"method {method}: weighs a corpus against the others, and birds"):
            METHODS[method]().scores(run)


# -- the command line ---------------------------------------------------------------------------


@pytest.fixture
def trace_config(tmp_path, text_files, cache_folder, model_folders):
    path = tmp_path / "trace.yaml"
    content = {
        "model": {"name_or_path": model_folders("llama")},
        "data": {
            "corpora": [{"name": name, "path": str(text_files[name])} for name in ("birds", "ships", "bread")],
            "test_sets": [{"name": name, "path": str(text_files[name])} for name in ("ask-birds", "ask-ships")],
            "eval_batch_size": 2,
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu", "gradient_clip_val": 1.0},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def table(folder: Any) -> dict[tuple[str, str, str], float]:
    return {(row.method, row.corpus, row.test_set): row.influence for row in InfluenceStore(folder).rows()}


def test_through_the_command_line(trace_config, tmp_path, make_data, model_folders, scoring_run):
    from lightning_untrac.cli import main

    run = scoring_run(make_data(), model_folders("llama"))
    out = tmp_path / "out"
    command = ["trace", "--config", str(trace_config), "--output", str(out), "--method"]
    assert main([*command, "graddot,gradcos"]) == 0
    found = table(out)
    assert len(found) == 2 * 3 * 2
    for method in ("graddot", "gradcos"):
        values = [found[method, c, t] for c in run.data.corpus_names for t in run.data.test_set_names]
        assert values == pytest.approx(METHODS[method]().scores(run).flatten().tolist(), rel=1e-4)
    units = {row.method: row.unit for row in InfluenceStore(out).rows()}
    assert units == {"graddot": "gradient product", "gradcos": "cosine"}
    assert main(["compare", "--output", str(out), "--reference", "graddot"]) == 0
    assert (out / "comparison.parquet").is_file()
    assert main([*command, "graddot", "--trainer.fast_dev_run", "true"]) == 0
    assert table(out) == found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_equal_one_process(strategy, trace_config, tmp_path):
    from lightning_untrac.cli import main

    methods = "graddot,fisher" if strategy == "ddp" else "graddot,gradcos"
    command = ["trace", "--config", str(trace_config), "--method", methods, "--output"]
    assert main([*command, str(tmp_path / "one")]) == 0
    ranks = processes.start_ranks(
        2, *command, tmp_path / "two", "--trainer.devices", 2, "--trainer.strategy", strategy,
        log=tmp_path / "log", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert [rank.wait() for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    one, two = table(tmp_path / "one"), table(tmp_path / "two")
    assert one.keys() == two.keys()
    for key, value in one.items():
        largest = max(abs(other) for (method, *_), other in one.items() if method == key[0])
        assert two[key] == pytest.approx(value, rel=1e-4, abs=1e-4 * largest), key
