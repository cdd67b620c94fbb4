"""Every shipped recipe: all steps are parsed, their data loaded and their Trainers made, without network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.config.recipes import load_recipe, recipe_problems, resolve_stages, shipped_recipes
from lightning_untrac.data.config import ROLES
from lightning_untrac.modules import LanguageModule
from lightning_untrac.runs.rehearsal import rehearse
from tests.support.chats import TEMPLATES

GENDERED = [{"tokens": ["The", "baker", "said", word, "slept"]} for word in ("she", "he")]
ROWS: dict[str | None, list[dict[str, Any]]] = {
    "toxigen": [{"prompt_label": 1, "generation": "one two three four five six seven eight nine", "group": "all"}],
    "winobias": GENDERED,
    "truthfulqa": [{"question": "Who baked?", "category": "Law", "incorrect_answers": ["A heron."] * 128}],
    None: [
        {"text": f"{text} {n}", "body": f"{text} {n}", "prompt": f"{text}?", "question": f"{text}?",
         "target": f"yes {n}", "answer": f"yes {n}", "wrong_answer": f"no {n}", "group": f"fact {n}",
         "messages": [{"role": "user", "content": f"{text}?"}, {"role": "assistant", "content": f"yes {n}"}]}
        for text in ("the heron flew over the shore", "the baker kneads the warm dough") for n in range(8)
    ],
}  # fmt: skip
"""Rows with the columns that recipes name, by the transform that reads them."""

OF_THE_HUB = ("subset", "split", "revision")
"""What says where in a dataset of the hub to look; a file has nothing like it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_configs: Any) -> str:
    """A tiny model that reads texts as long as those of the recipes."""
    path = tmp_path_factory.mktemp("models") / "llama"
    module = LanguageModule(config={**tiny_configs["llama"], "max_position_embeddings": 2048}, tokenizer="byte")
    module.configure_model()
    assert module.model is not None
    module.model.save_pretrained(path)
    module.tokenizer.chat_template = TEMPLATES["unmarked"]
    module.tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def at_hand(tmp_path: Path, cache_folder: str, model: str) -> Any:
    """A recipe with small files and models in place of those that only its user has, or the hub."""

    def dataset(entry: dict[str, Any], labels: list[str]) -> dict[str, Any]:
        path = entry["path"]
        if path.startswith("builtin:"):
            return entry
        assert not Path(path).exists()
        file = tmp_path / f"{entry.get('name', 'data')}.jsonl"
        rows = ROWS[entry.get("transform")]
        classes = [{"label": labels[n % len(labels)]} if labels else {} for n in range(len(rows))]
        file.write_text("".join(json.dumps(row | one) + "\n" for row, one in zip(rows, classes, strict=True)))
        return {key: value for key, value in entry.items() if key not in OF_THE_HUB} | {"path": str(file)}

    def mend(recipe: dict[str, Any]) -> dict[str, Any]:
        data = recipe["data"]
        for key in ("name_or_path", "tokenizer"):
            if recipe["model"].get(key, "byte") not in ("byte", "words"):
                recipe["model"][key] = model
        stages = [options or {} for stage in recipe["stages"] for options in stage.values()]
        for some in (data, *(options.get("data", {}) for options in stages)):
            for role in set(ROLES) & set(some):
                some[role] = [dataset(entry, recipe["model"].get("labels", [])) for entry in some[role]]
        data["cache_folder"] = cache_folder
        return recipe

    return mend


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_is_rehearsed(name: str, at_hand: Any, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe_problems(recipe) == []
    stages = resolve_stages(at_hand(recipe), ["--trainer.accelerator", "cpu"])
    assert {stage.number for stage in stages} == set(range(1, len(recipe["stages"]) + 1))
    assert rehearse(stages, str(tmp_path / "out")) == []


def test_a_wrong_key_in_a_recipe_would_be_found(at_hand: Any, tmp_path: Path) -> None:
    recipe = at_hand(load_recipe("trace_my_model"))
    recipe["stages"][1]["trace"]["model"] = {"optimiser": "torch.optim.Adam"}
    (problem,) = rehearse(resolve_stages(recipe, ["--trainer.accelerator", "cpu"]), str(tmp_path / "out"))
    assert problem.startswith("stage 2 (trace): model.optimiser: unknown key; did you mean 'optimizer'?")
