"""How long a forward and backward pass takes in bfloat16 and in float32, on this machine's CPU.

python benchmarks/bf16.py
"""

from __future__ import annotations

import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from lightning_untrac.config.arithmetic import multiplies_bf16

TIMES = 5


def main() -> None:
    """Print the least of some times for a Llama of 0.1M parameters and 16 x 128 tokens, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"vocab_size": 384, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    config = AutoConfig.for_model("llama", **sizes, num_attention_heads=4, num_key_value_heads=4)
    model = AutoModelForCausalLM.from_config(config)
    tokens = torch.randint(0, 384, (16, 128))
    print(f"the CPU multiplies bfloat16: {multiplies_bf16()}")
    for name, dtype, autocast in (
        ("float32", torch.float32, False),
        ("bf16-mixed", torch.float32, True),
        ("bf16-true", torch.bfloat16, False),
    ):
        model.to(dtype)
        seconds = []
        for _ in range(TIMES + 1):
            begun = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = model(input_ids=tokens, labels=tokens).loss
            loss.backward()
            model.zero_grad()
            seconds.append(time.perf_counter() - begun)
        print(f"{name}: {1e3 * min(seconds[1:]):.0f} ms")


if __name__ == "__main__":
    main()
