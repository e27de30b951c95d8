"""Language models of a few thousand weights that read any text: byte-level BPE, and several architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = """Which of the following makes more sense as a cause and its effect? The child hurt their knee.
The child started crying. My car got dirty. I washed the car. It started raining. I opened my umbrella.
for i in range(23): print(i)
prints values from 0 to 22 computes first 10 prime numbers positive negative the film was great and the film was bad
choice: answer: yes no example: English language description: Python code: """


def save_tokenizer(folder: Path) -> Any:
    """A byte-level BPE tokenizer that joins words with the space before them, as GPT-2's and SmolLM2's do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    plain.train_from_iterator([TEXT] * 5, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<|end|>", eos_token="<|end|>", pad_token="<|end|>", unk_token="<|end|>"
    )
    made.save_pretrained(folder)
    return made


def configuration(kind: str, *, context: int = 512) -> Any:
    """Two layers of an architecture by its name."""
    import transformers as hf

    size = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    longer = {"intermediate_size": 64, "max_position_embeddings": context}
    match kind:
        case "llama":
            return hf.LlamaConfig(**size, **longer, **ends, num_key_value_heads=1)
        case "gpt2":
            return hf.GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=2, n_positions=context, **ends)
        case "neox":
            return hf.GPTNeoXConfig(**size, **longer, **ends)
        case "qwen2":
            return hf.Qwen2Config(**size, **longer, **ends, num_key_value_heads=1)
        case "bloom":
            return hf.BloomConfig(vocab_size=400, hidden_size=32, n_layer=2, n_head=2, **ends)
        case "mamba":
            return hf.MambaConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2, state_size=4, **ends)
        case "mistral":
            return hf.MistralConfig(**size, **longer, **ends, num_key_value_heads=1, sliding_window=16)
    raise ValueError(kind)


def make(kind: str, *, context: int = 512) -> Any:
    """A model with weights drawn by a seed, large enough that its answers differ."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(configuration(kind, context=context)).float().eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.25)
    return model


def save(folder: Path, kind: str = "llama", *, context: int = 512) -> Path:
    """The same in a folder, as any Hugging Face causal model."""
    make(kind, context=context).save_pretrained(folder)
    save_tokenizer(folder)
    return folder
