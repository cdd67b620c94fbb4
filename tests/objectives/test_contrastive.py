"""Contrastive forget terms: the right states, targets only, views by dropout, and what can't be."""

from __future__ import annotations

import math
import sys
from typing import Any

import partners_on_ranks
import processes
import pytest
import torch

from lightning_untrac import Unlearning
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.pooling import mean_states
from lightning_untrac.objectives import Contrastive, DeepCUT, Objective, Outputs, RetainLoss, Seen

ANCHORS = torch.tensor([[1.0, 0, 0], [0, 1, 1]], dtype=torch.float64)
PARTNERS = torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], dtype=torch.float64)


def texts(states: torch.Tensor, classes: list[int]) -> Outputs:
    """Of a classifier of whole texts: one place a text."""
    given = states[:, None].clone().requires_grad_()
    logits = torch.zeros(len(states), 1, 3, dtype=torch.float64, requires_grad=True)
    return Outputs(logits, torch.tensor(classes)[:, None], hidden_states=(torch.zeros_like(given), given))


def tokens(states: torch.Tensor, classes: list[int]) -> Outputs:
    """The same samples as the tokens of one text, with a token in front that has no class."""
    filled = torch.cat([torch.full((1, 3), 9.0, dtype=torch.float64), states])[None].requires_grad_()
    logits = torch.zeros(1, len(states) + 1, 3, dtype=torch.float64, requires_grad=True)
    return Outputs(logits, torch.tensor([[-100, *classes]]), hidden_states=(torch.zeros_like(filled), filled))


@pytest.mark.parametrize("made", [texts, tokens])
@pytest.mark.parametrize(("denominator", "value"), [("same", 0.950272), ("all", 1.730175)])
def test_the_value_is_the_one_that_others_get(made: Any, denominator: Any, value: float) -> None:
    forget, retain = made(ANCHORS, [0, 1]), made(PARTNERS, [0, 1, 2, 0])
    found = DeepCUT(denominator=denominator, views=1)(Seen(forget, retain))
    assert found.mean.item() == pytest.approx(value, abs=5e-7)
    found.mean.backward()
    assert retain.hidden_states[1].grad.any()
    held = made(PARTNERS, [0, 1, 2, 0])
    DeepCUT(denominator=denominator, views=1, detach_retained=True)(Seen(forget, held)).mean.backward()
    assert held.hidden_states[1].grad is None


def test_filler_counts_nowhere() -> None:
    forget = texts(torch.cat([ANCHORS, ANCHORS[:1] * 5]), [0, 1, -100])
    retain = texts(torch.cat([PARTNERS, -PARTNERS]), [0, 1, 2, 0, -100, -100, -100, -100])
    found = DeepCUT(views=1)(Seen(forget, retain))
    assert found.mean.item() == pytest.approx(0.950272, abs=5e-7)
    assert int(found.count) == 2


def test_each_view_of_a_sample_is_an_anchor_and_a_partner() -> None:
    forget, retain = texts(ANCHORS, [0, 1]), texts(PARTNERS, [0, 1, 2, 0])
    once = DeepCUT(views=1)(Seen(forget, retain)).mean
    for one in (forget, retain):
        one.views = (one.hidden_states, one.hidden_states)  # type: ignore[assignment]
    twice = DeepCUT(views=2)(Seen(forget, retain)).mean  # of three that another term has asked for
    assert twice.item() == pytest.approx(once.item() + math.log(2))
    other = tuple(-state for state in retain.hidden_states or ())
    retain.views = (other,)
    mixed = DeepCUT(views=2)(Seen(forget, retain)).mean
    whole = texts(torch.cat([PARTNERS, -PARTNERS]), [0, 1, 2, 0] * 2)
    forget.views = ()
    assert mixed.item() == pytest.approx(DeepCUT(views=1)(Seen(forget, whole)).mean.item())


STATES = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([[-100, 1, 2, 3, -100], [-100, 4, -100, -100, -100]])


def sequences(states: torch.Tensor, targets: torch.Tensor) -> Outputs:
    given = states.clone().requires_grad_()
    logits = torch.zeros(*targets.shape, 6, dtype=torch.float64, requires_grad=True)
    return Outputs(logits, targets, hidden_states=(given * 0, given))


def test_a_text_is_the_mean_over_its_targets() -> None:
    retained = STATES.flip(1).cos()
    forget, retain = sequences(STATES, LABELS), sequences(retained, LABELS)
    found = Contrastive(temperature=0.5, layer=1.0)(Seen(forget, retain))
    vectors = [torch.stack([s[0, 1:4].mean(0), s[1, 1]]) for s in (STATES, retained)]
    cosines = torch.cosine_similarity(vectors[0][:, None], vectors[1][None], dim=2)
    expected = (cosines / 0.5).exp().mean(1).log().mean()
    assert found.mean.item() == pytest.approx(expected.item(), abs=1e-12)
    found.mean.backward()
    assert forget.hidden_states is not None
    gradient = forget.hidden_states[1].grad
    assert gradient is not None
    assert gradient[LABELS != -100].any()
    assert not gradient[LABELS == -100].any()
    assert retain.hidden_states[1].grad is None  # type: ignore[index]
    prompts = STATES.clone()
    prompts[LABELS == -100] = 7.0
    other = Contrastive(temperature=0.5, layer=1.0)(Seen(sequences(prompts, LABELS), retain))
    assert other.mean.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_text_without_a_target_is_no_text() -> None:
    assert mean_states(STATES, torch.zeros(2, 5, dtype=torch.bool)).shape == (0, 4)


@pytest.mark.parametrize("term", [DeepCUT(views=1), Contrastive(layer=1.0)])
def test_a_share_with_nothing_has_a_gradient_of_nothing(term: Any) -> None:
    forget, retain = texts(ANCHORS, [-100, -100]), texts(PARTNERS, [0, 1, 2, 0])
    forget.batch = {"has_targets": False}
    (part,) = Objective(term)(Seen(forget, retain))
    assert part.term.total.item() == 0
    part.term.total.backward()
    assert forget.hidden_states is not None
    assert not forget.hidden_states[1].grad.any()  # type: ignore[union-attr]


# -- in a module -------------------------------------------------------------------------------------------------------


def batch(words: list[list[int]]) -> dict[str, Any]:
    ids = torch.tensor(words)
    return {"input_ids": ids, "labels": ids.clone()}


@pytest.fixture
def seen(model_folders: Any) -> Any:
    """What a module sees of a forget and a retain batch with an objective."""

    def see(objective: Objective, **options: Any) -> tuple[Unlearning, Seen]:
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=objective, **options
        )
        module.configure_model()
        module.model.train(module.dropout)  # type: ignore[union-attr]
        torch.manual_seed(0)
        given = batch([[5, 6, 7], [8, 9, 10]]) | {"retain": batch([[6, 5, 4, 3]])}
        return module, module.see(given)  # type: ignore[arg-type]

    return see


def test_views_are_further_passes_with_dropout(seen: Any) -> None:
    module, plain = seen(Objective(DeepCUT(views=1), [RetainLoss()]))
    assert not module.draws_masks
    assert plain.forget.views == plain.retain.views == ()
    module, found = seen(Objective(DeepCUT(views=3), [RetainLoss()]))
    assert module.draws_masks
    assert len(found.forget.views) == len(found.retain.views) == 2
    assert torch.equal(found.forget.logits, plain.forget.logits)  # what the other terms see has no dropout
    states = [found.forget.hidden_states[-1], *(view[-1] for view in found.forget.views)]
    assert all(not torch.allclose(states[i], states[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert not module.model.training
    _, again = seen(Objective(DeepCUT(views=3), [RetainLoss()]))
    assert torch.equal(again.forget.views[1][-1], found.forget.views[1][-1])


def test_a_step_that_heals_draws_no_views(seen: Any) -> None:
    module, _ = seen(Objective(DeepCUT(views=3), [RetainLoss()]))
    module.healing = True
    found = module.see(batch([[5, 6, 7]]) | {"retain": batch([[6, 5, 4, 3]])})
    assert found.of("retain").views == ()


def test_views_need_dropout(model_folders: Any) -> None:
    def problems(architecture: str, **options: Any) -> list[str]:
        made = Unlearning(model_folders(architecture), unlearning_objective=DeepCUT(views=2), **options)
        return made.architecture_problems()

    (problem,) = problems("llama")
    assert "the views of DeepCUT are made by dropout, and this model has none" in problem
    assert problem.endswith("give views: 1")
    (problem,) = problems("gpt2", activation_checkpointing=True)
    assert problem.startswith("model.activation_checkpointing: the views of DeepCUT have dropout")
    assert problems("gpt2") == problems("gpt2", activation_checkpointing=True, dropout=True) == []


@pytest.mark.parametrize("term", [DeepCUT(views=1, temperature=0.3), Contrastive(1.0, 0.3, detach_retained=False)])
def test_steps_move_what_is_forgotten_from_what_stays(term: Any, make_pairs: Any, model_folders: Any) -> None:
    import every_objective
    from lightning.pytorch.callbacks import Callback

    values: list[float] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            values.append(float(trainer.callback_metrics["train/objective"]))

    every_objective.fit(
        make_pairs(batch_size=12, retained_per_example=2), model_folders("gpt2", "float64"), Objective(term),
        optimizer=lambda p: torch.optim.Adam(p, lr=3e-3), plan={"steps": 15}, callbacks=[Watch()],
    )  # fmt: skip
    assert values[-1] < values[0] - 0.5
    assert values[-1] >= -2 / term.temperature


@pytest.mark.parametrize("term", [DeepCUT, Contrastive])
def test_numbers_out_of_range_are_refused(term: Any) -> None:
    with pytest.raises(ValueError, match=rf"{term.__name__}\(temperature=0\): give a finite number above 0"):
        term(temperature=0)
    with pytest.raises(ValueError, match=rf"{term.__name__}\(views=0\): give a whole number from 1"):
        term(views=0)
    with pytest.raises(ValueError, match=rf"{term.__name__}\(layer=-1\)"):
        term(layer=-1)
    if term is DeepCUT:
        with pytest.raises(ValueError, match=r"DeepCUT\(denominator='own'\): give one of same, all"):
            term(denominator="own")


def test_accumulation_is_refused(trace: Any, make_data: Any) -> None:
    made = Objective(Contrastive(), [RetainLoss()])
    with pytest.raises(ConfigurationError, match="accumulate_grad_batches: 2; Contrastive holds a step's examples"):
        trace(
            data=make_data(("birds", "ships"), batch_size=4), steps=1, module_options={"unlearning_objective": made},
            accumulate_grad_batches=2,
        )  # fmt: skip


# -- on ranks ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    """What each of two ranks has found."""
    folder = tmp_path_factory.mktemp("partners")
    processes.wait_for_all(processes.call_on_ranks(2, partners_on_ranks.run, str(folder), log=folder / "log"))
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
@pytest.mark.parametrize("shares", partners_on_ranks.SHARES)
@pytest.mark.parametrize("name", partners_on_ranks.TERMS)
def test_two_ranks_take_the_step_of_one_process(name: str, shares: str, on_ranks: Any) -> None:
    forget, retain = partners_on_ranks.SHARES[shares]
    value, weight = partners_on_ranks.gradient(partners_on_ranks.TERMS[name](), forget, retain, None)
    expected = torch.cat([torch.tensor([value], dtype=torch.float64), weight.flatten()])
    assert weight.abs().max() > 1e-3
    for rank in (0, 1):
        torch.testing.assert_close(on_ranks[rank][name, shares], expected, rtol=0, atol=1e-14)
        assert on_ranks[rank][shares].tolist() == list(range(sum(retain)))


# -- a classifier ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classified() -> dict[str, Any]:
    """A tiny BERT before and after DeepCUT forgets some texts of a class that has four kinds of words."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    ids = torch.randint(2, 6, (48, 6)) + 4 * (torch.arange(48) % 3)[:, None]  # the words of a class are its own
    ids[:, 0] = 1
    classes = (torch.arange(48) % 3)[:, None]
    forget, retain = torch.arange(12), torch.arange(12, 48)
    model = BertForSequenceClassification(BertConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=8, num_labels=3, initializer_range=0.2,
    ))  # fmt: skip

    def outputs(rows: torch.Tensor) -> Outputs:
        found = model(ids[rows], output_hidden_states=True)
        states = tuple(one[:, :1] for one in found.hidden_states)
        return Outputs(found.logits[:, None], classes[rows], {"input_ids": ids[rows]}, states)

    def seen() -> Seen:
        found = Seen(outputs(forget), outputs(retain))
        for stream in (found.forget, found.of("retain")):
            rows = forget if stream is found.forget else retain
            model.train()
            stream.views = (outputs(rows).hidden_states or (),)
            model.eval()
        return found

    def measured() -> dict[str, float]:
        with torch.no_grad():
            mine, theirs = outputs(forget), outputs(retain)
            accuracy = {n: float(o.hits.double().mean()) for n, o in (("forget", mine), ("retain", theirs))}
            z, kept = (torch.nn.functional.normalize(o.hidden_states[-1][:, 0], dim=-1) for o in (mine, theirs))  # type: ignore[index]
            near = z @ kept.T
            same = classes[forget] == classes[retain].T
            return accuracy | {"same": float(near[same].mean()), "other": float(near[~same].mean())}

    model.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        outputs(torch.arange(48)).mean_loss().backward()
        optimizer.step()
    found = {"before": measured()}
    objective = Objective(DeepCUT(weight=0.5), [RetainLoss()])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(part.weight * part.term.mean for part in objective(seen())).backward()  # type: ignore[union-attr]
        optimizer.step()
    return found | {"after": measured()}


def test_a_classifier_forgets_in_its_latent_space(classified: Any) -> None:
    before, after = classified["before"], classified["after"]
    assert before["forget"] == before["retain"] == 1.0
    # Words tell the class of these texts, so that they can not leave it; they come as near to the others.
    assert after["same"] - after["other"] < (before["same"] - before["other"]) / 2
