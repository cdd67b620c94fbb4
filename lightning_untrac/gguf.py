"""Turn a GGUF file into a folder that every verb loads.

    python -m lightning_untrac.gguf FILE FOLDER

GGUF is llama.cpp's format: one file with the weights (often in 4 to 8 bits), the tokenizer and the chat template. What
is trained or unlearned needs plain weights; they are the values that the file's numbers stand for, and a file in 4
bits has lost for good what it rounded away.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_untrac.errors import ConfigurationError, UntracError, raise_if_any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAGIC = b"GGUF"
"""The first bytes of every GGUF file."""

INSTALL = "pip install 'lightning-untrac[gguf]' -c constraints.txt"


def folder_from_gguf(file: str | Path, folder: str | Path, *, dtype: str = "float32") -> Path:
    """Write a transformers folder (safetensors, tokenizer, chat template) of the model in a GGUF file.

    transformers reads the file; it knows Llama, Mistral, Qwen, Gemma, Phi and some more architectures.

    Args:
        file: a GGUF file, in one piece.
        folder: where the model goes; appears whole or not at all.
        dtype: of the weights that are written: float32, bfloat16, float16 or float64.

    Returns:
        The folder.

    Raises:
        ConfigurationError: if the file is no GGUF file or holds what transformers can't read, if the folder is there
            already, or if the package gguf is missing.
    """
    file, folder = Path(file).expanduser(), Path(folder).expanduser()
    raise_if_any(_problems(file, folder, dtype))
    try:
        import accelerate  # noqa: F401  (transformers loads GGUF files with it)
        import gguf  # noqa: F401
    except ImportError as error:
        raise ConfigurationError([f"{file}: reading it needs the packages gguf and accelerate: {INSTALL}"]) from error
    from transformers import AutoTokenizer

    from lightning_untrac.tables.checksums import write_checksums

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model = _plain_model(file, dtype)
    except UntracError:
        raise
    except Exception as error:  # transformers raises KeyError, ValueError and more for what it doesn't know
        cause = (str(error).splitlines() or [""])[0]
        raise ConfigurationError([f"{file}: transformers can't read it ({type(error).__name__}: {cause})"]) from error
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        write_checksums(beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _problems(file: Path, folder: Path, dtype: str) -> list[str]:
    from lightning_untrac.modules.loading import DTYPES

    found = []
    if not file.is_file():
        found.append(f"there is no file {file}; give a GGUF file")
    else:
        with file.open("rb") as opened:
            start = opened.read(len(MAGIC))
        if start != MAGIC:
            found.append(f"{file}: is no GGUF file (it begins with {start!r}, not with {MAGIC!r})")
    if folder.exists():
        found.append(f"{folder}: is there already; name a new folder, or remove it first")
    if dtype not in DTYPES:
        found.append(f"dtype: {dtype!r} is unknown; use one of {', '.join(DTYPES)}")
    return found


def _plain_model(file: Path, dtype: str) -> PreTrainedModel:
    """The model of a GGUF file, as one that can be saved.

    transformers marks what it read as quantised and refuses to save it. So the weights move into a model of the same
    configuration without that mark, which is made without memory of its own.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    from lightning_untrac.modules.loading import DTYPES

    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    auto: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    read, loading = auto.from_pretrained(
        file.parent, gguf_file=file.name, dtype=DTYPES[dtype], output_loading_info=True
    )
    if missing := sorted(loading["missing_keys"]):
        raise ConfigurationError(
            [f"{file}: lacks {len(missing)} of the model's parameters, such as {missing[0]}; get a whole file"]
        )
    plain = read.config
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    with torch.device("meta"):
        model: PreTrainedModel = auto.from_config(plain, dtype=DTYPES[dtype])
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; the process' own where None.

    Returns:
        The exit code: 0, or 2 for something that the user can mend.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lightning_untrac.gguf", description="Turn a GGUF file into a folder that every verb loads."
    )
    parser.add_argument("file", help="a GGUF file")
    parser.add_argument("folder", help="where the model goes; must not exist")
    parser.add_argument("--dtype", default="float32", help="of the weights: float32 (default), bfloat16, float16")
    given = parser.parse_args(argv)
    try:
        folder = folder_from_gguf(given.file, given.folder, dtype=given.dtype)
    except UntracError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{folder} holds the model; give it as --model.name_or_path")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
