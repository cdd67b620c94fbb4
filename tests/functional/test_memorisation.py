from __future__ import annotations

import pytest
import torch

from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.functional.memorisation import memorisation_accuracy


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
        shares, counts = memorisation_accuracy(model(ids).logits[:, :-1], ids[:, 1:])
    assert shares.tolist() == pytest.approx(expected.tolist())
    assert min(shares) >= 6 / 11
    assert counts.tolist() == [11] * 3


def test_prompts_and_padding_never_count() -> None:
    targets = torch.tensor([[IGNORE_INDEX, IGNORE_INDEX, 2, 1, IGNORE_INDEX]])
    logits = torch.zeros(1, 5, 4)
    logits[0, torch.arange(5), torch.tensor([3, 3, 2, 3, 0])] = 1.0
    whole = memorisation_accuracy(logits, targets)
    assert (whole[0].item(), whole[1].item()) == (0.5, 2)
    # Whatever stands where no target is changes nothing.
    logits[0, [0, 1, 4]] = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert memorisation_accuracy(logits, targets)[0].item() == 0.5


def test_an_example_without_targets_has_no_share() -> None:
    shares, counts = memorisation_accuracy(torch.zeros(1, 2, 3), torch.full((1, 2), IGNORE_INDEX))
    assert shares.isnan().item()
    assert counts.item() == 0
