"""Well-known kinds of chat templates, and a tokenizer for any of them."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MARKS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]

CHATML = (  # a system prompt of its own, tools as JSON, a header for the answer
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKED = (  # the same, with the turns marked
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message.content }}<|im_end|>{% endif %}\n{% endfor %}"
)
BRACKETS = (  # BOS and EOS around each exchange; the content is stripped
    "{% for message in messages %}{% if message.role == 'user' %}{{ bos_token }}[INST] "
    "{{ message.content | trim }} [/INST]"
    "{% elif message.role == 'assistant' %} {{ message.content | trim }} {{ eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
SYSTEM_LAST = (  # the system's words stand before the last question: no part of a conversation begins the whole
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}{% if message.role == 'user' %}[INST]"
    "{% if loop.last or loop.index == loop.length - 1 %}{{ system }} {% endif %}{{ message.content }}[/INST]"
    "{% else %}{{ message.content }}</s>{% endif %}{% endfor %}"
)
FORGETFUL = (  # what an earlier answer thought is left out
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' and loop.last and '</think>' not in message.content %}<think></think>{% endif %}"
    "{% if message.role == 'assistant' and not loop.last %}{{ message.content.split('</think>')[-1] }}"
    "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
UNMARKED = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
DATED = "{{ strftime_now('%d %b %Y') }} {% for message in messages %}{{ message.content }}</s>{% endfor %}"

TALK = [
    {"role": "user", "content": "who lives here?"},
    {"role": "assistant", "content": "a heron"},
    {"role": "user", "content": "and there?"},
    {"role": "assistant", "content": "two wrens"},
]
SYSTEM = {"role": "system", "content": "Answer."}


def tokenizer(template, bos="<s>", eos="</s>"):
    inner = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=bos, eos_token=eos, chat_template=template)
    made.add_special_tokens({"additional_special_tokens": MARKS})
    return made
