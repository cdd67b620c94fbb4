from __future__ import annotations

from collections.abc import Callable

import torch

from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.functional.exact_extraction import exact_extraction
from lightning_untrac.functional.memorisation import extraction_strength, target_hits


def test_it_is_what_greedy_decoding_writes_after_the_prefix(model_folders: Callable[..., str]) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folders("llama", "float64"), dtype=torch.float64).eval()
    ids = torch.randint(1, 200, (4, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for row, own in enumerate((range(12, 12), range(4, 12), range(4, 8), range(6, 12))):
            for t in own:  # these tokens are the model's own
                ids[row, t] = model(ids[row : row + 1, :t]).logits[0, -1].argmax()
        hits, targets = target_hits(model(ids).logits[:, :-1], ids[:, 1:]), ids[:, 1:]
    for prefix, length in ((3, None), (3, 4), (5, None), (5, 2)):
        end = 12 if length is None else 1 + prefix + length  # the first token has nothing before it
        given = ids[:, : 1 + prefix]
        options = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, "max_new_tokens": end - 1 - prefix}
        written = model.generate(given, attention_mask=torch.ones_like(given), **options)
        found, counts = exact_extraction(hits, targets, prefix, length)
        assert found.tolist() == (written == ids[:, :end]).all(dim=1).double().tolist()
        assert counts.all()
    assert exact_extraction(hits, targets, 3)[0].tolist() == [0, 1, 0, 0]
    assert exact_extraction(hits, targets, 3, 4)[0].tolist() == [0, 1, 1, 0]
    assert exact_extraction(hits, targets, 5)[0].tolist() == [0, 1, 0, 1]


def test_a_text_is_extracted_from_every_prefix_that_its_strength_says() -> None:
    hits = torch.tensor([[1, 0, 1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    targets = torch.zeros(1, 8, dtype=torch.long)
    fewest = round(8 * (1 - extraction_strength(hits, targets)[0].item()))
    assert [exact_extraction(hits, targets, k)[0].item() for k in range(8)] == [float(k >= fewest) for k in range(8)]


def test_prompts_gaps_and_padding_on_either_side_never_count() -> None:
    targets = torch.tensor([[IGNORE_INDEX, 4, IGNORE_INDEX, 5, 6, IGNORE_INDEX]])
    hits = torch.tensor([[0, 0, 0, 1, 1, 0]], dtype=torch.bool)
    for pad in ((0, 0), (3, 0), (0, 3)):
        wide = torch.nn.functional.pad(targets, pad, value=IGNORE_INDEX)
        found = [exact_extraction(torch.nn.functional.pad(hits, pad), wide, k) for k in range(4)]
        assert [value.item() for value, _ in found[:3]] == [0, 1, 1]
        assert found[3][0].isnan().item()
        assert [counts.item() for _, counts in found] == [True, True, True, False]
