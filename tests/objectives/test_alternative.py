"""The stream of other answers: a term that prefers them, against plain torch, however the step is cut."""

from __future__ import annotations

import copy
import json
import signal
import sys
import time
from typing import Any

import lightning.pytorch as L
import processes
import pytest
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Unlearning
from lightning_untrac.cli import main
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.objectives import DPO, GradientAscent, Objective, RetainLoss
from lightning_untrac.tables import read_summary

BETA, LR = 0.5, 0.1
ROWS = [
    {"q": f"who keeps {'the ' * (i % 3)}door {i}?", "a": "nobody " * (1 + i % 4), "no": "i don't know " * (1 + i % 2)}
    for i in range(7)
]


class Watch(Callback):
    """Keeps batches, and the weights after each step."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.models: list[Any] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.models.append(copy.deepcopy(pl_module.model))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)
        if trainer.global_step == len(self.models):
            self.models.append(copy.deepcopy(pl_module.model))


@pytest.fixture
def make(tmp_path: Any, text_files: Any, cache_folder: str) -> Any:
    """A DataModule whose forget set has prompts, answers and other answers."""

    def made(rows: Any = ROWS, role: str = "forget", alternative: str | None = "no", **options: Any) -> Any:
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        pairs = DatasetConfig(str(path), "pairs", prompt="q", target="a", alternative=alternative)
        birds = DatasetConfig(str(text_files["birds"]), "birds")
        corpora = [birds, pairs] if role == "corpora" else [birds]
        given = {"forget": [pairs]} if role == "forget" else {}
        return CorpusDataModule(corpora, cache_folder=cache_folder, **given, **options)

    return made


@pytest.fixture
def unlearn(model_folders: Any, make: Any) -> Any:
    """Take two steps over the seven pairs and return what was seen."""

    def run(
        objective: Any, size: int, accumulation: int = 1, lr: float = LR, data: dict[str, Any] | None = None
    ) -> Watch:
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=objective,
            optimizer=lambda p: torch.optim.SGD(p, lr=lr),
        )  # fmt: skip
        watch = Watch()
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False, callbacks=[watch],
            accumulate_grad_batches=accumulation,
        )  # fmt: skip
        plan = EpisodePlan("one", only=("pairs",), passes=1)
        trainer.fit(module, datamodule=make(batch_size=size, plan=plan, **(data or {})))
        return watch

    return run


def log_prob(model: Any, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log-probability of the targets of one sequence without its padding."""
    length = int((ids != 0).sum())
    found = model(input_ids=ids[None, :length]).logits[0, :-1].log_softmax(-1)
    targets = labels[1:length]
    keep = targets != -100
    return found[keep].gather(1, targets[keep][:, None]).sum()


def test_a_step_is_the_one_by_hand(unlearn: Any) -> None:
    watch = unlearn(Objective(forget=DPO(BETA)), 4)
    reference, before, after = watch.models[0], watch.models[1], watch.models[2]
    batch = watch.batches[1]
    total = torch.zeros((), dtype=torch.float64)
    rows = list(zip(batch["input_ids"], batch["labels"], strict=True))
    others = list(zip(batch["alternative"]["input_ids"], batch["alternative"]["labels"], strict=True))
    assert len(rows) == len(others) == 3
    for mine, other in zip(rows, others, strict=True):
        gains = []
        for pair in (mine, other):
            with torch.no_grad():
                start = log_prob(reference, *pair)
            gains.append(log_prob(before, *pair) - start)
        total = total - 2 / BETA * F.logsigmoid(BETA * (gains[1] - gains[0]))
    grads = torch.autograd.grad(total / 3, list(before.parameters()))
    assert max(g.abs().max() for g in grads) > 1e-2
    for old, new, gradient in zip(before.parameters(), after.parameters(), grads, strict=True):
        torch.testing.assert_close(old - new, LR * gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("objective", [lambda: Objective(forget=DPO(BETA)),
                                       lambda: Objective(forget=DPO(BETA), retain=[RetainLoss()])],
                         ids=["alone", "with a retain loss"])  # fmt: skip
def test_the_steps_are_the_same_however_they_are_cut(objective: Any, unlearn: Any) -> None:
    whole = unlearn(objective(), 4)
    for size, accumulation in ((2, 2), (1, 4)):
        cut = unlearn(objective(), size, accumulation)
        assert len(cut.models) == len(whole.models) == 3
        for one, other in zip(whole.models, cut.models, strict=True):
            for a, b in zip(one.parameters(), other.parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
        assert any(not batch["has_targets"] for batch in cut.batches) == (size == 1)


def decoded(batch: Any, targets_only: bool = False) -> list[str]:
    """Texts of the rows (ByT5's bytes are its ids minus 3)."""
    key = "labels" if targets_only else "input_ids"
    return ["".join(chr(token - 3) for token in row if token > 2) for row in batch[key].tolist()]


def test_an_alternative_stands_beside_its_prompt_and_only_it_is_a_target(unlearn: Any) -> None:
    watch = unlearn(Objective(forget=DPO()), 4)
    by_prompt = {row["q"]: row for row in ROWS}
    seen = set()
    for batch in watch.batches:
        for mine, text, target in zip(
            decoded(batch), decoded(batch["alternative"]), decoded(batch["alternative"], True), strict=True
        ):
            row = by_prompt[mine.partition("?")[0] + "?"]
            assert mine == f"{row['q']} {row['a']}"
            assert (text, target) == (f"{row['q']} {row['no']}", f" {row['no']}")
            seen.add(row["q"])
    assert seen == by_prompt.keys()


def test_every_micro_batch_knows_the_targets_of_both_streams(unlearn: Any) -> None:
    for start in (0, 2):
        step = unlearn(Objective(forget=DPO()), 2, 2).batches[start : start + 2]
        for stream in (lambda batch: batch, lambda batch: batch["alternative"]):
            counted = sum(int((stream(batch)["labels"][:, 1:] != -100).sum()) for batch in step)
            assert {stream(batch)["step_tokens"] for batch in step} == {counted}
            assert {stream(batch)["step_sequences"] for batch in step} == {4 if start == 0 else 3}
        assert step[0]["step_tokens"] != step[0]["alternative"]["step_tokens"]


def test_without_a_term_that_asks_there_is_no_such_stream(unlearn: Any) -> None:
    assert not any("alternative" in batch for batch in unlearn(GradientAscent(), 4).batches)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alternative": None}, "needs an alternative to each answer, and pairs has none; name its columns"),
        ({"alternative": "gone"}, "has no column 'gone'; there are q, a, no"),
        ({"rows": [*ROWS, {"q": "x", "a": "y", "no": ""}]}, "column 'no' is empty in 1 row, first in row 8"),
        (
            {"role": "corpora", "block_size": 16},
            "data.block_size: pairs is packed into blocks, and a block has no alternative",
        ),
        ({"alternative": "a"}, "`alternative` is column 'a', as the prompt or the target"),
    ],
    ids=["none", "missing", "empty", "packed", "the target itself"],
)
def test_what_is_wrong_is_said_before_the_first_step(given: Any, said: str, unlearn: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        unlearn(Objective(forget=DPO()), 4, data=given)
    assert said in str(caught.value)


def test_rows_without_an_answer_are_left_out_of_both(make: Any, model_folders: Any) -> None:
    rows = [ROWS[0], {"q": "x", "a": "", "no": "nothing"}, ROWS[1], ROWS[0]]
    data = make(rows)
    data.prepare(Unlearning(model_folders("gpt2")))
    (pairs,) = data.tokenized_forget.values()
    assert len(pairs) == len(pairs.alternative) == 3
    assert pairs[0]["input_ids"].tolist() == pairs[2]["input_ids"].tolist()


def test_alternatives_go_with_prompts_alone() -> None:
    assert "give `prompt` and `target` too" in DatasetConfig("x", "x", alternative="no").problems("corpora[0]")[0]


@pytest.fixture
def command(tmp_path: Any, make: Any, model_folders: Any, cache_folder: str) -> list[Any]:
    """`untrac unlearn` of the pairs, with preference and a retain term, but for folder and cut."""
    make()
    others = tmp_path / "others.jsonl"
    rows = [{"q": f"ZX{i}", "a": "UVW" * (1 + i % 3), "no": "i don't know"} for i in range(5)]
    others.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = {"name": "pairs", "path": str(tmp_path / "pairs.jsonl"), "prompt": "q", "target": "a", "alternative": "no"}
    content = {
        "model": {
            "name_or_path": model_folders("llama"),
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05}},
            "unlearning_objective": {"forget": "DPO", "retain": ["RetainKL", "RetainAnswer"]},
        },
        "data": {
            "corpora": [{**pairs, "name": "others", "path": str(others)}],
            "forget": [pairs],
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu"},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return ["unlearn", "--config", path, "--forget", "pairs", "--passes", 2, "--readings", 1]


def losses(folder: Any) -> dict[Any, float]:
    rows = read_summary(folder).to_pylist()
    return {(r["step"], r["dataset"]): r["value"] for r in rows if (r["measure"], r["statistic"]) == ("loss", "mean")}


def test_a_command_prefers_the_alternatives_and_a_changed_one_is_another_run(
    command: list[Any], make: Any, tmp_path: Any, capfd: Any
) -> None:
    words = [str(word) for word in (*command, "--data.batch_size", 4, "--output", tmp_path / "run")]
    assert (main(words) or 0) == 0
    found = losses(tmp_path / "run")
    assert found[4, "pairs"] > found[0, "pairs"]
    make([{**row, "no": "never"} for row in ROWS])
    assert main(words) == 2
    assert "pairs" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
@pytest.mark.parametrize(("strategy", "own"), [("ddp", False), ("fsdp2", False), ("ddp", True)])
def test_two_ranks_take_the_steps_of_one_process(strategy: str, own: bool, command: list[Any], tmp_path: Any) -> None:
    """Of seven pairs in steps of six the second has one, so that a rank has none."""
    if own:
        content = yaml.safe_load(command[2].read_text())
        del content["data"]["forget"][0]["alternative"]
        command[2].write_text(yaml.safe_dump(content))
        command += ["--objective", "altpo"]
    command += ["--model.dtype", "float64"]  # so that rounding is not what differs
    one = processes.start(*command, "--data.batch_size", 6, "--output", tmp_path / "one", log=tmp_path / "one.log")
    assert one.wait() == 0, one.text
    ranks = processes.start_ranks(
        2, *command, "--data.batch_size", 3, "--trainer.devices", 2, "--trainer.strategy", strategy,
        "--output", tmp_path / "two", log=tmp_path / "log", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert [rank.wait() for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    expected = losses(tmp_path / "one")
    assert expected[4, "pairs"] > expected[0, "pairs"] + 1e-3
    assert losses(tmp_path / "two") == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="commands are started by a fork server")
def test_killed_in_a_step_the_same_command_ends_in_the_same_weights(command: list[Any], tmp_path: Any) -> None:
    """What was measured before the first step lies in the checkpoint: after the kill the model is another."""
    words = [*command[:-4], "--steps", 100, "--readings", 1, "--data.batch_size", 4, "--checkpoint_every", 20]
    cut = processes.start(*words, "--output", tmp_path / "cut", log=tmp_path / "cut.log")
    checkpoints, deadline = tmp_path / "cut" / "checkpoints" / "unlearn-pairs", time.monotonic() + 100
    while not list(checkpoints.glob("step=*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    cut.signal(signal.SIGKILL)
    cut.wait()
    assert list(checkpoints.glob("step=*.ckpt")), cut.text
    assert not (tmp_path / "cut" / "unlearned-pairs").exists()
    for folder in ("cut", "whole"):
        assert (main([str(word) for word in (*words, "--output", tmp_path / folder)]) or 0) == 0
    one, other = (tmp_path / folder / "unlearned-pairs" / "model.safetensors" for folder in ("cut", "whole"))
    assert one.read_bytes() == other.read_bytes()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
