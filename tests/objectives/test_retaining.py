"""Objectives that hold on to something, against plain torch, and what must change nothing."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import EpisodePlan, Unlearning
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.objectives import (
    CEU,
    GRU,
    NPO,
    AltPO,
    FisherAnchor,
    ForgetTerm,
    GradientAscent,
    L2Anchor,
    Objective,
    Part,
    RetainJSD,
    RetainKL,
    RetainLoss,
    RetainTerm,
    SimNPO,
    Term,
)

MAKERS = {
    "retain loss": lambda weight: Objective(retain=[RetainLoss(weight)]),
    "kl": lambda weight: Objective(retain=[RetainKL(weight)]),
    "fisher": lambda weight: Objective(anchor=FisherAnchor(weight, fisher_examples=8)),
}
every_objective = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
LR = 0.5


def sgd(parameters: Any, lr: float = LR) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr)


def flat(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad]).clone()


class Watch(Callback):
    """Keeps the batches, and the weights before the first and after each optimizer step, of every episode."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.weights: list[torch.Tensor] = []
        self.terms: list[dict[str, float]] = []
        self.steps = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.weights.append(flat(pl_module.model))
        self.batches.append(batch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step > self.steps:
            self.steps = trainer.global_step
            self.weights.append(flat(pl_module.model))
        self.terms.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("train/")})


@pytest.fixture
def steps(trace: Any, make_data: Any, model_folders: Any) -> Any:
    """Trace some steps of each corpus and return what :class:`Watch` has seen, the influences and the module.

    A GPT-2, because the Llama of transformers computes its norms in float32 whatever the weights are.
    """

    def run(
        objective: Any, size: int = 4, accumulation: int = 1, count: int | None = 2, lr: float = LR,
        corpora: Any = ("birds", "ships", "bread"), dtype: str = "float64", data: Any = None, **options: Any,
    ) -> Any:  # fmt: skip
        watch = Watch()
        final, _, module = trace(
            data=make_data(corpora, batch_size=size, **(data or {})),
            module=Unlearning(
                model_folders("gpt2", dtype),
                dtype=dtype,
                unlearning_objective=objective,
                optimizer=lambda p: sgd(p, lr),
                **options,
            ),
            steps=count,
            callbacks=(watch,),
            accumulate_grad_batches=accumulation,
        )
        return watch, final, module

    return run


def loss_sum(model: Any, batch: Any) -> tuple[Any, int]:
    """Sum of token losses over single examples without padding, and their number: no part of the package."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        length = int((labels != -100).sum())
        logits = model(input_ids=ids[None, :length]).logits[0]
        total = total + torch.nn.functional.cross_entropy(logits[:-1], labels[1:length], reduction="sum")
        count += length - 1
    return total, count


def fresh(model_folders: Any, weights: torch.Tensor) -> Any:
    """A plain transformers model with given weights."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folders("gpt2", "float64"), dtype=torch.float64).eval()
    torch.nn.utils.vector_to_parameters(weights, [p for p in model.parameters() if p.requires_grad])
    return model


def gradient(value: torch.Tensor, model: Any) -> torch.Tensor:
    grads = torch.autograd.grad(value, [p for p in model.parameters() if p.requires_grad])
    return torch.cat([g.flatten() for g in grads])


# -- what a step is ----------------------------------------------------------------------------------------------------


def test_gradient_difference_is_the_difference_of_two_gradients_by_hand(steps: Any, model_folders: Any) -> None:
    watch, *_ = steps(Objective(retain=[RetainLoss(0.7)]), size=5, count=1)
    before, after = watch.weights[:2]
    batch = watch.batches[0]
    model = fresh(model_folders, before)
    (forget, forgotten), (retain, retained) = loss_sum(model, batch), loss_sum(model, batch["retain"])
    assert forgotten != retained
    expected = gradient(-forget / forgotten + 0.7 * retain / retained, model)
    assert expected.norm() > 0.1
    torch.testing.assert_close((before - after) / LR, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("size", "accumulation"), [(4, 1), (1, 4)])
@every_objective
def test_a_weight_of_zero_is_plain_ascent_to_the_last_bit(make: Any, size: int, accumulation: int, steps: Any) -> None:
    plain, scores, _ = steps(GradientAscent(), size, accumulation, dtype="float32", count=3)
    zero, same, _ = steps(make(0.0), size, accumulation, dtype="float32", count=3)
    assert len(plain.weights) == 12
    assert all(torch.equal(a, b) for a, b in zip(plain.weights, zero.weights, strict=True))
    assert scores == same
    other, differs, _ = steps(make(5.0), size, accumulation, dtype="float32", count=3)
    assert not torch.equal(other.weights[3], plain.weights[3])
    assert differs != scores


def test_the_divergence_is_that_of_the_trained_model_by_hand(steps: Any, model_folders: Any) -> None:
    watch, *_ = steps(Objective(retain=[RetainKL(2.0)]))
    start, before, after = watch.weights[:3]
    batch = watch.batches[1]
    model, reference = fresh(model_folders, before), fresh(model_folders, start)
    divergence, places = torch.zeros((), dtype=torch.float64), 0
    for ids, labels in zip(batch["retain"]["input_ids"], batch["retain"]["labels"], strict=True):
        length = int((labels != -100).sum())
        p, q = (m(input_ids=ids[None, :length]).logits[0, :-1].softmax(-1) for m in (reference, model))
        divergence, places = divergence + (p.detach() * (p.detach() / q).log()).sum(), places + length - 1
    forget, forgotten = loss_sum(model, batch)
    pull = gradient(2.0 * divergence / places, model)
    assert pull.norm() > 1e-3
    expected = gradient(-forget / forgotten, model) + pull
    torch.testing.assert_close((before - after) / LR, expected, rtol=1e-7, atol=1e-9)
    assert watch.terms[1]["train/retain_term"] == pytest.approx(2.0 * divergence.item() / places, rel=1e-6)


@every_objective
def test_at_the_trained_weights_only_the_retained_loss_pulls(make: Any, steps: Any) -> None:
    plain, *_ = steps(GradientAscent(), count=1)
    held, *_ = steps(make(3.0), count=1)
    step, with_term = (watch.weights[1] - watch.weights[0] for watch in (plain, held))
    if any(isinstance(term, RetainLoss) for term in make(3.0).retain):
        assert (step - with_term).abs().max() > 1e-3
    else:
        torch.testing.assert_close(with_term, step, rtol=0, atol=1e-14)
        other = {"train/retain_term", "train/anchor_term"} & held.terms[0].keys()
        assert [held.terms[0][name] for name in other] == [0.0]


def test_the_fisher_anchor_is_the_mean_of_squared_gradients_by_hand(
    steps: Any, model_folders: Any, make_data: Any
) -> None:
    objective = Objective(anchor=FisherAnchor(30.0, fisher_examples=5))
    watch, _, module = steps(objective, count=2, corpora=("birds", "ships"))
    # Of the last episode, in which ships was unlearned: five of birds' twelve examples.
    start, before, after = watch.weights[3:6]
    batch, kept = watch.batches[-1], make_data(("birds", "ships"))
    kept.prepare(module)
    sample = sorted(objective_sample(kept, 5))
    model, fisher = fresh(model_folders, start), torch.zeros_like(start)
    for index in sample:
        ids = torch.tensor(kept.tokenized_corpora["birds"][index]["input_ids"].tolist())
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids[None]).logits[0, :-1], ids[1:])
        fisher += gradient(loss, model).square() / len(sample)
    model = fresh(model_folders, before)
    forget, forgotten = loss_sum(model, batch)
    pull = 30.0 * fisher * (before - start)
    assert pull.norm() > 1e-3
    torch.testing.assert_close((before - after) / LR, gradient(-forget / forgotten, model) + pull, rtol=1e-7, atol=1e-9)
    assert watch.terms[-1]["train/anchor_term"] == pytest.approx(
        float(15.0 * (fisher * (before - start).square()).sum()), rel=1e-6
    )


def objective_sample(data: Any, count: int) -> list[int]:
    """The examples that the second episode's Fisher matrix is estimated from, of its only retained corpus."""
    data.plan = EpisodePlan("each_corpus")
    (episode,) = (e for e in data.episodes() if e.dataset == "ships")
    return [int(index) for index in data.retained_order(episode).sample(count)]


@pytest.mark.parametrize(
    "objective",
    [
        Objective(retain=[RetainLoss(2.0)]),
        Objective(retain=[RetainKL(20.0)]),
        Objective(anchor=FisherAnchor(100.0)),
    ],
    ids=MAKERS.keys(),
)
def test_holding_on_does_less_harm_to_the_retained_corpora(objective: Any, steps: Any, model_folders: Any) -> None:
    """What it is for: as many steps of ascent on birds, and the loss of ships rises less."""
    rises = []
    for one in (GradientAscent(), objective):
        watch, *_ = steps(one, count=10, corpora=("birds", "ships"), lr=0.05)
        (ships, count), (after, _) = (
            (
                sum(part)
                for part in zip(*(loss_sum(fresh(model_folders, w), b) for b in watch.batches[10:13]), strict=True)
            )
            for w in (watch.weights[0], watch.weights[10])
        )
        rises.append(((after - ships) / count).item())
    assert rises[0] > 0.3
    assert rises[1] < 0.9 * rises[0]


# -- however it is cut -------------------------------------------------------------------------------------------------


def entropy(outputs: Any) -> Term:
    """A mean over nothing where a share has no target."""
    counts = outputs.targets != -100
    mean = torch.distributions.Categorical(logits=outputs.logits[counts]).entropy().mean()
    return Term(mean * counts.sum(), counts.sum())


class MinusEntropy(ForgetTerm):
    """A user's own."""

    def __call__(self, seen: Any) -> Term:
        found = entropy(seen.forget)
        return Term(-found.total, found.count)


class EntropyAndLoss(RetainTerm):
    """A user's own."""

    def __call__(self, seen: Any) -> Term:
        found = entropy(seen.retain)
        return Term(-2 * found.total + seen.retain.loss.total, found.count)


class HardTokens(ForgetTerm):
    """A term on some of the tokens still is a mean over all of them."""

    def __call__(self, seen: Any) -> Term:
        losses = torch.nn.functional.cross_entropy(seen.forget.target_logits, seen.forget.target_ids, reduction="none")
        return Term.of(-losses[losses > 5.95])


def entropy_of_both() -> Objective:
    return Objective(forget=MinusEntropy(), retain=[EntropyAndLoss()])


@pytest.mark.parametrize(("size", "accumulation"), [(4, 2), (2, 4), (1, 8)])
@pytest.mark.parametrize(
    "make",
    [
        *(lambda m=m: m(2.0) for m in MAKERS.values()),
        entropy_of_both,
        lambda: Objective(forget=NPO(), retain=[RetainJSD(2.0)], anchor=L2Anchor(0.1)),  # sequences, tokens, weights
        lambda: Objective(forget=HardTokens()),
        lambda: Objective(forget=CEU()),  # all tokens but the first of each sequence
        lambda: Objective(forget=SimNPO(beta=1.0), retain=[RetainLoss(0.5)]),
    ],
    ids=[*MAKERS, "user's own", "npo", "some tokens", "ce-u", "simnpo"],
)
def test_the_same_effective_batch_gives_the_same_updates(make: Any, size: int, accumulation: int, steps: Any) -> None:
    options = {"count": None, "data": {"retained_per_example": 2}}  # one pass: 12, 9 and 10 examples in steps of 8
    whole, scores, _ = steps(make(), 8, 1, **options)
    cut, same, _ = steps(make(), size, accumulation, **options)
    assert len(whole.weights) == len(cut.weights) == 9
    for a, b in zip(whole.weights, cut.weights, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-12)
    assert same == pytest.approx(scores, abs=1e-10)
    assert any(not batch["has_targets"] for batch in cut.batches)
    sizes = {(b["step_tokens"], b["retain"]["step_tokens"]) for b in whole.batches if "retain" in b}
    assert all(f * 2 != r for f, r in sizes)  # or equal weights by example would do as well


# -- whatever ran before -----------------------------------------------------------------------------------------------


@every_objective
def test_the_order_of_the_corpora_changes_nothing(make: Any, steps: Any) -> None:
    _, scores, _ = steps(make(2.0), dtype="float32")
    _, same, _ = steps(make(2.0), dtype="float32", corpora=("bread", "birds", "ships"))
    assert scores == same


@every_objective
def test_dropout_is_off_in_what_is_held_to(make: Any, trace: Any, make_data: Any, tiny_configs: Any) -> None:
    config = tiny_configs["gpt2"] | {"resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.3}
    options = {"config": config, "tokenizer": "byte", "dropout": True, "optimizer": sgd}
    runs = []
    for corpora in (("birds", "ships", "bread"), ("bread", "ships", "birds")):
        module = Unlearning(**options, unlearning_objective=make(1.0))
        runs.append(trace(data=make_data(corpora, batch_size=4), module=module, steps=2)[0])
        assert module.model.training
    assert runs[0] == runs[1]


@pytest.mark.parametrize("accumulation", [1, 2])
@every_objective
def test_a_resumed_run_ends_in_the_same_weights(make: Any, accumulation: int, whole_and_resumed: Any) -> None:
    _, whole, resumed = whole_and_resumed(lambda: make(2.0), sgd, accumulation)
    assert torch.equal(whole, resumed)


# -- models and strategies ---------------------------------------------------------------------------------------------


@every_objective
def test_seq2seq_and_lora(make: Any, trace: Any, pair_files: Any, cache_folder: str, steps: Any) -> None:
    from lightning_untrac import CorpusDataModule, DatasetConfig

    configs = [
        DatasetConfig(str(pair_files[n]), n, prompt="prompt", target="target") for n in ("birds", "ships", "ask-birds")
    ]
    data = CorpusDataModule(configs[:2], configs[2:], batch_size=4, cache_folder=cache_folder)
    watch = Watch()
    options = {"module_options": {"unlearning_objective": make(1.0)}, "callbacks": (watch,)}
    final, _, module = trace(data=data, architecture="t5", optimizer=sgd, accumulate_grad_batches=2, **options)
    assert all(abs(influence) > 0 for influence in final.values())
    for one, other in zip(watch.batches[::2], watch.batches[1::2], strict=True):
        for kind in (lambda b: b, lambda b: b["retain"]) if "retain" in one else ():
            counted = sum(int(module.num_targets(kind(part))) for part in (one, other))
            assert kind(one)["step_tokens"] == kind(other)["step_tokens"] == counted
    lora = {"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True}
    objective = make(1.0)
    watch, final, module = steps(objective, lora=lora, dtype="float32", count=3)
    assert all(abs(influence) > 0 for influence in final.values())
    kept = [tensor for term in objective.state_dict().values() for part in term.values() for tensor in part.values()]
    assert sum(tensor.numel() for tensor in kept) <= flat(module.model).numel()  # of the adapters alone
    if objective.retain and isinstance(objective.retain[0], RetainKL):
        assert watch.terms[0]["train/retain_term"] == 0.0
        assert watch.terms[2]["train/retain_term"] > 0.0


@every_objective
def test_test_sets_are_unlearned_beside_all_corpora(make: Any, make_data: Any, trace: Any) -> None:
    final, rows, _ = trace(
        "each_test_set", data=make_data(("birds",), batch_size=4), module_options={"unlearning_objective": make(1.0)}
    )
    assert {row.status for row in rows} <= {"ok", "broken"}  # an untrained model stands at a uniform guess
    assert final.keys() == {("birds", "ask-birds"), ("birds", "ask-ships")}


@every_objective
def test_nothing_to_retain_is_said_before_the_first_step(make: Any, trace: Any, make_data: Any) -> None:
    with pytest.raises(ConfigurationError, match="beside 'birds' there is no corpus to retain"):
        trace(data=make_data(("birds",)), module_options={"unlearning_objective": make(1.0)})


class WholeAnchor(L2Anchor):
    """Of a user, who does not say that it works on a part of the weights."""

    needs_whole_weights = True


class WholeGRU(GRU):
    needs_whole_weights = True


@pytest.mark.parametrize(
    ("made", "fsdp2", "fsdp"),
    [
        (Objective(anchor=FisherAnchor(1.0)), "", "FisherAnchor is a function of the weights, and FSDPStrategy"),
        (Objective(anchor=WholeAnchor(1.0)), "WholeAnchor is a function of the weights, and FSDP2S", "WholeAnchor is"),
        (Objective(retain=[RetainLoss()], rectify=GRU()), "", "GRU needs the gradients of two terms apart, and FSDPS"),
        (Objective(retain=[RetainLoss()], rectify=WholeGRU()), "or ddp, or leave `rectify` out", "WholeGRU needs the"),
        (Objective(AltPO()), "", "AltPO lets the model continue prompts before the first step, and FSDPStrategy"),
        (Objective(retain=[RetainLoss(), RetainKL()]), "", ""),
    ],
    ids=str,
)
def test_what_sharded_weights_can_not_do_is_said_before_the_first_step(
    made: Objective, fsdp2: str, fsdp: str, model_folders: Any
) -> None:
    from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

    from lightning_untrac.strategies import fsdp2_strategy

    module = Unlearning(model_folders(), unlearning_objective=made)
    assert module.strategy_problems(DDPStrategy()) == []
    for expected, strategy in ((fsdp2, fsdp2_strategy(2)), (fsdp, FSDPStrategy())):
        found = module.strategy_problems(strategy)
        assert len(found) == bool(expected)
        assert expected in "".join(found)
        assert not found or ("ddp or fsdp2" in found[0]) == (strategy.__class__ is FSDPStrategy)


def test_batches_of_other_loaders_must_bring_what_is_retained(
    make_data: Any, model_folders: Any, tmp_path: Any
) -> None:
    data = make_data(batch_size=4)
    for objective in (MAKERS["retain loss"](1.0), MAKERS["fisher"](1.0)):
        module = Unlearning(model_folders(), unlearning_objective=objective, optimizer=sgd)
        data.prepare(module)
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False,
        )  # fmt: skip
        with pytest.raises(ConfigurationError, match="needs retain examples, which no batch brings; fit with a Corpus"):
            trainer.fit(module, data.sample_dataloader("birds", 4), data.sample_dataloader("birds", 4))


def test_a_phase_of_the_users_own_may_retain_too(make_data: Any, model_folders: Any, trace: Any) -> None:
    class Mine(Unlearning):
        extra_streams = frozenset({"retain"})

        def objective(self, seen: Any) -> Any:
            return [*super().objective(seen), Part("mine", seen.retain.loss, stream="retain", weight=0.7)]

    mine = Mine(model_folders(), optimizer=sgd)
    theirs = Unlearning(model_folders(), optimizer=sgd, unlearning_objective=Objective(retain=[RetainLoss(0.7)]))
    assert mine.needs_retain
    runs = [trace(data=make_data(batch_size=2), module=m, accumulate_grad_batches=2)[0] for m in (mine, theirs)]
    assert runs[0] == runs[1]


def test_hooks_of_earlier_versions_are_answered_with_the_new_way(model_folders: Any) -> None:
    class Old(Unlearning):
        def retained_objective(self, batch: Any) -> torch.Tensor:
            return 0.7 * self.mean_loss(batch)

    (problem,) = Old(model_folders()).problems()
    assert "which are terms now; give unlearning_objective: {retain: [...]" in problem
    module = Unlearning(model_folders())
    module.configure_model()
    with pytest.raises(TypeError, match=r"use seen\.forget\.mean_loss"):
        module.mean_loss(module.see({"input_ids": torch.ones(1, 3).long(), "labels": torch.ones(1, 3).long()}))


def test_a_collapse_is_not_hidden_by_the_retained_term(make_data: Any, trace: Any) -> None:
    from lightning_untrac import CollapseGuard

    class Nothing(ForgetTerm):  # of an objective that stays at 0 whatever happens to the loss
        def __call__(self, seen: Any) -> Term:
            return Term(-seen.forget.loss.total + seen.forget.loss.total.detach(), seen.forget.loss.count)

    _, rows, _ = trace(
        data=make_data(batch_size=4), steps=20, callbacks=(CollapseGuard(),),
        optimizer=lambda p: torch.optim.Adam(p, lr=0.1),
        module_options={"unlearning_objective": Objective(forget=Nothing(), retain=[RetainLoss(1e-3)])},
    )  # fmt: skip
    assert {row.status for row in rows if row.final} == {"collapsed"}


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
@every_objective
def test_a_weight_that_makes_no_sense_is_refused(make: Any, weight: float) -> None:
    with pytest.raises(ValueError, match="give a finite number of at least 0"):
        make(weight)


def test_fisher_needs_examples_and_a_model_that_has_gradients(trace: Any, make_data: Any) -> None:
    with pytest.raises(ValueError, match="give at least 1 example"):
        FisherAnchor(1.0, fisher_examples=0)

    class Silent(Unlearning):
        def mean_loss(self, batch: Any) -> torch.Tensor:
            return super().mean_loss(batch) * 0

    objective = Objective(anchor=FisherAnchor(1.0))
    module = Silent(config={"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 64},
                    tokenizer="byte", unlearning_objective=objective)  # fmt: skip
    with pytest.raises(UnlearningError, match=r"has the trace 0\.0, expected above 0"):
        trace(data=make_data(batch_size=4), module=module)


def test_an_anchor_that_was_never_prepared_says_so(model_folders: Any) -> None:
    module = Unlearning(model_folders(), unlearning_objective=Objective(anchor=FisherAnchor(1.0)))
    module.configure_model()
    ids = torch.ones(1, 3).long()
    with pytest.raises(UnlearningError, match="kept from the first step on"):
        module.see({"input_ids": ids, "labels": ids})
