"""Models of a few thousand weights, made on the spot: a causal language model and an encoder that train in a second."""

from __future__ import annotations

import re
from pathlib import Path

WORDS = re.findall(
    r"\S+",
    """
    <pad> <unk> <s> </s> [CLS] [SEP] user assistant a the film was number wonderful dreadful superb boring positive
    negative say one two three four five six seven eight nine ten yes no premise hypothesis context question where
    lives in Anna Bob Carl Oslo Rome Lima Paris : . , ? 0 1 2 3 4 5 6 7 8 9 Premise Hypothesis Context Question
    """,
)
CHAT = "{% for m in messages %}{{ m['role'] + ' : ' + m['content'] + ' </s> ' }}{% endfor %}assistant : "


def _tokenizer(folder: Path, *, encoder: bool, chat: bool) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(WORDS))}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("</s>", "isolated"),
        pre_tokenizers.Split(",", "isolated"), pre_tokenizers.Split(".", "isolated"),
        pre_tokenizers.Split("?", "isolated"), pre_tokenizers.Split(":", "isolated"),
    ])  # fmt: skip
    if encoder:
        first, last = ("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])
        plain.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[first, last]
        )  # fmt: skip
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        cls_token="[CLS]", sep_token="[SEP]",
    )  # fmt: skip
    if chat:
        made.chat_template = CHAT
    made.save_pretrained(folder)


def causal(folder: Path, *, context: int = 64, chat: bool = False) -> Path:
    """A Llama of two layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    _tokenizer(folder, encoder=False, chat=chat)
    size = len(set(WORDS))
    config = LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=context, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def encoder(folder: Path, *, context: int = 64) -> Path:
    """A BERT of two layers."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    _tokenizer(folder, encoder=True, chat=False)
    config = BertConfig(
        vocab_size=len(set(WORDS)), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=context, pad_token_id=0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder
