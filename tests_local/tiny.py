"""Tiny randomly initialised models of each architecture, and a tokenizer trained here; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = (
    "你会看到一个问题和两个回复。请选出更好的一个。[问题]：怎样说服同事？[回复1]：先听他说完。[回复2]：骂他一顿。",
    "回复1更好，因为它更安全。回复2更好，它更负责任。我选择A。我选择B。",
    "Human: hello Assistant: hi <|Human|>: hi<eoh> <|MOSS|>: ok<eom> ### Instruction: ### Response:",
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "</s>", "<s>", "<unk>", "<|im_start|>", "<|im_end|>"]


def byte_level(size: int = 400) -> Any:
    """A byte-level BPE tokenizer trained on a few sentences; it begins every text with <s>, as LLaMA's does."""
    raw = Tokenizer(models.BPE(unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )


def unigram() -> Any:
    """A unigram tokenizer with the blank mark of SentencePiece and an end token, as T5's."""
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>")
    raw.train_from_iterator(TEXTS, trainer)
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _model(kind: str, size: int) -> Any:  # noqa: PLR0911 -- one line for each architecture
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    common = {"vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, **ids}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096}
    small = {"vocab_size": size, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
             "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}  # fmt: skip
    t = transformers
    if kind == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**common, **heads))
    if kind == "qwen2":
        return t.Qwen2ForCausalLM(t.Qwen2Config(**common, **heads))
    if kind == "mistral-window":
        return t.MistralForCausalLM(t.MistralConfig(**common, **heads, sliding_window=24))
    if kind == "gptj":
        return t.GPTJForCausalLM(
            t.GPTJConfig(vocab_size=size, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=1024, **ids)
        )
    if kind == "bloom":
        return t.BloomForCausalLM(t.BloomConfig(vocab_size=size, hidden_size=32, n_layer=2, n_head=4, **ids))
    if kind == "glm":
        return t.GlmForCausalLM(t.GlmConfig(**common, **heads, head_dim=8))
    if kind == "t5":
        return t.T5ForConditionalGeneration(t.T5Config(**small))
    return t.MT5ForConditionalGeneration(
        t.MT5Config(**small, tie_word_embeddings=False, feed_forward_proj="gated-gelu")
    )


CAUSAL = ("llama", "gptj", "bloom", "glm", "mistral-window")
SEQ2SEQ = ("t5", "mt5")


def build(kind: str, folder: Path, *, template: str = TEMPLATE) -> Path:
    """Writes a tiny model with its tokenizer into a folder and returns it. Weights are large, so that no two tokens are near."""
    tokenizer = unigram() if kind in SEQ2SEQ else byte_level()
    tokenizer.chat_template = template or None
    torch.manual_seed(sum(map(ord, kind)))
    model = _model(kind, len(tokenizer)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
