"""The model that transformers and bitsandbytes make of a folder in 4 bits."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def loaded_in_4_bits(folder: Path) -> Any:
    """A saved model loaded as nf4, with the weights that its codes stand for.

    Its own layers are not called: they multiply in bfloat16 where the processor can, and take then only some shapes.
    """
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages while they are imported
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, device_map="cpu")
        return model.dequantize()
