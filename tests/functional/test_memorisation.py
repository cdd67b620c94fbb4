from __future__ import annotations

import pytest
import torch

from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.functional.memorisation import extraction_strength, memorisation_accuracy, target_hits


def test_it_is_the_share_of_greedy_choices_made_one_at_a_time(model_folders: object) -> None:
    """Jang et al.'s code asks ``generate`` for one token after each true prefix; that is the reference here."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folders("llama")).eval()  # type: ignore[operator]
    ids = torch.randint(1, 200, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # Half of the tokens are the model's own choices, so that there is something to find.
        for t in range(1, 12, 2):
            ids[:, t] = model(ids[:, :t]).logits[:, -1].argmax(-1)
        options = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": 1, "min_new_tokens": 1}
        chosen = [
            model.generate(ids[:, :t], attention_mask=torch.ones(3, t).long(), **options)[:, t] for t in range(1, 12)
        ]
        expected = (torch.stack(chosen, dim=1) == ids[:, 1:]).double().mean(dim=1)
        shares, counts = memorisation_accuracy(target_hits(model(ids).logits[:, :-1], ids[:, 1:]), ids[:, 1:])
    assert shares.tolist() == pytest.approx(expected.tolist())
    assert min(shares) >= 6 / 11
    assert counts.tolist() == [11] * 3


def test_strength_is_what_greedy_decoding_writes_of_a_text_by_itself(model_folders: object) -> None:
    """Greedy decoding from every prefix is the reference; one pass over the true text says the same."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folders("llama")).eval()  # type: ignore[operator]
    ids = torch.randint(1, 200, (4, 10), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for row, own in enumerate((0, 1, 5, 9)):  # so many last tokens are the model's own
            for t in range(10 - own, 10):
                ids[row, t] = model(ids[row : row + 1, :t]).logits[0, -1].argmax()
        options = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        expected = []
        for text in ids[:, None]:
            fewest = next(
                k
                for k in range(1, 11)
                if k == 10 or torch.equal(model.generate(text[:, :k], max_new_tokens=10 - k, **options), text)
            )
            expected.append((10 - fewest) / 9)  # the first token has nothing before it and is no target
        hits = target_hits(model(ids).logits[:, :-1], ids[:, 1:])
    strengths, counts = extraction_strength(hits, ids[:, 1:])
    assert strengths.tolist() == pytest.approx(expected)
    assert expected[0] < 0.5 < expected[2] < expected[3] == 1.0
    assert counts.tolist() == [9] * 4


@pytest.mark.parametrize(
    ("hits", "expected"), [("10111011", 0.25), ("11110", 0.0), ("00000", 0.0), ("1111", 1.0), ("0", 0.0), ("1", 1.0)]
)
def test_golden_strengths(hits: str, expected: float) -> None:
    found = torch.tensor([[digit == "1" for digit in hits]])
    assert extraction_strength(found, torch.zeros_like(found, dtype=torch.long))[0].item() == expected


def test_a_strength_goes_through_gaps_between_targets() -> None:
    """Of a conversation the assistant's turns are targets; what stands between them is given, right or wrong."""
    targets = torch.tensor([[4, IGNORE_INDEX, 5, 6, IGNORE_INDEX, 7, IGNORE_INDEX]])
    logits = torch.nn.functional.one_hot(torch.tensor([[4, 1, 0, 6, 1, 7, 1]]), 8).double()
    strengths, counts = extraction_strength(target_hits(logits, targets), targets)
    assert (strengths.item(), counts.item()) == (0.5, 4)
    nothing = torch.full((1, 7), IGNORE_INDEX)
    assert extraction_strength(target_hits(logits, nothing), nothing)[0].isnan().item()


def test_equal_logits_are_settled_alike_for_both() -> None:
    targets = torch.tensor([[0, 1]])
    hits = target_hits(torch.zeros(1, 2, 3), targets)
    first = hits[0].tolist()
    assert first.count(True) <= 1  # one of three equal tokens is the first choice, whichever argmax takes
    assert memorisation_accuracy(hits, targets)[0].item() == sum(first) / 2
    assert extraction_strength(hits, targets)[0].item() == first[1] / 2


def test_prompts_and_padding_never_count() -> None:
    targets = torch.tensor([[IGNORE_INDEX, IGNORE_INDEX, 2, 1, IGNORE_INDEX]])
    logits = torch.zeros(1, 5, 4)
    logits[0, torch.arange(5), torch.tensor([3, 3, 2, 3, 0])] = 1.0
    whole = memorisation_accuracy(target_hits(logits, targets), targets)
    assert (whole[0].item(), whole[1].item()) == (0.5, 2)
    # Whatever stands where no target is changes nothing.
    logits[0, [0, 1, 4]] = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert memorisation_accuracy(target_hits(logits, targets), targets)[0].item() == 0.5


def test_an_example_without_targets_has_no_share() -> None:
    shares, counts = memorisation_accuracy(torch.zeros(1, 2).bool(), torch.full((1, 2), IGNORE_INDEX))
    assert shares.isnan().item()
    assert counts.item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("vocabulary", [7, 2**17 + 1])
def test_hits_are_where_argmax_is_with_ties_and_what_is_no_number(vocabulary: int, dtype: torch.dtype) -> None:
    drawn = torch.Generator().manual_seed(3)
    logits = torch.randint(-3, 3, (4, 5, vocabulary), generator=drawn).to(dtype)  # of which many are equal
    logits[0, 0, 2] = torch.nan
    logits[0, 1] = torch.nan
    logits[0, 2] = -torch.inf
    logits[0, 3, 1] = torch.inf
    best = logits.argmax(dim=-1)
    targets = torch.where(torch.rand(4, 5, generator=drawn) < 0.5, best, (best + 1) % vocabulary)
    targets[3, 1:] = IGNORE_INDEX
    kept = logits.clone()
    assert torch.equal(target_hits(logits, targets), best == targets)
    assert torch.equal(target_hits(logits.clone().requires_grad_(), targets), best == targets)  # as in a training step
    assert torch.equal(logits.nan_to_num(), kept.nan_to_num())
    assert target_hits(logits, torch.full_like(targets, IGNORE_INDEX)).sum() == 0
