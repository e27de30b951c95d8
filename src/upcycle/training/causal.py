"""A causal language model as a predictor: it generates, and it scores choices by their log-likelihood.

Opened from a folder of `upcycle train` (whole weights, or a LoRA adapter and the place of its base) or from any causal
model of Hugging Face. The decision: a model we trained is asked as it was trained, any other only continues text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upcycle.errors import ConfigError, boundary
from upcycle.training.bases import need_torch, quiet
from upcycle.training.prompting import Encoded, Prompting
from upcycle.training.saved import facts_of, write_facts

TEMPERATURE = 0.7
_NEW_TOKENS = 128
_BATCH_TOKENS = 4096
_CONTEXTS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(slots=True)
class CausalPredictor:
    """A causal language model.

    Attributes:
        model, prompting: transformers' model, and how it is asked.
        new_tokens: most tokens it may generate.
        facts: what `upcycle-model.json` says of it.
    """

    model: Any
    prompting: Prompting
    new_tokens: int = _NEW_TOKENS
    temperature: float = TEMPERATURE
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def continues(self) -> bool:
        """Whether it only continues text, so that whoever asks must say what stands before the answer."""
        return self.prompting.style == "raw"

    @property
    def tokenizer(self) -> Any:
        return self.prompting.tokenizer

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """What the model says: its likeliest words where `samples` is 1, else draws at its temperature, seeded."""
        import torch

        room = max(1, self.prompting.longest - self.new_tokens)
        prompts = [self.prompting.prompt(text, room=room)[0] or [self.tokenizer.eos_token_id] for text in inputs]
        said: list[list[str]] = [[] for _ in inputs]
        self.model.eval()
        with torch.random.fork_rng(), torch.inference_mode(), quiet():
            torch.manual_seed(self.seed)
            for batch in batches([len(prompt) + self.new_tokens for prompt in prompts], _BATCH_TOKENS // samples):
                outputs = self._generate([prompts[number] for number in batch], samples)
                for place, number in enumerate(batch):
                    said[number] = outputs[place * samples : (place + 1) * samples]
        return said

    def _generate(self, prompts: Sequence[Sequence[int]], samples: int) -> list[str]:
        import torch

        width = max(map(len, prompts))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        drawn: dict[str, Any] = {"do_sample": False}
        if samples > 1:
            drawn = {"do_sample": True, "temperature": self.temperature, "top_k": 0, "top_p": 1.0,
                     "num_return_sequences": samples}  # fmt: skip
        made = self.model.generate(
            input_ids=ids.to(self.model.device), attention_mask=mask.to(self.model.device),
            max_new_tokens=self.new_tokens, pad_token_id=pad, **drawn,
        )  # fmt: skip
        texts = self.tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)
        # Text that is only continued goes on behind the answer; an empty line is where the next example would begin.
        return [text.lstrip("\n").split("\n\n")[0].strip() if self.continues else text.strip() for text in texts]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Sum of the log-probabilities of each choice's tokens after each input."""
        rows: list[Encoded] = []
        for text, asked in zip(inputs, choices, strict=True):
            rows.extend(self._scored(text, choice) for choice in asked)
        values = self.log_likelihoods(rows)
        found: list[list[float]] = []
        for asked in choices:
            found.append(values[: len(asked)])
            values = values[len(asked) :]
        return found

    def _scored(self, text: str, choice: str) -> Encoded:
        row = self.prompting.encode(text, choice)
        if row is None:
            raise ConfigError(
                f"a choice is longer than the {self.prompting.longest} tokens this model can read: {choice[:60]!r}"
            )
        return row

    def log_likelihoods(self, rows: Sequence[Encoded]) -> list[float]:
        """Natural logarithm of the probability of each completion after its prompt."""
        import torch

        values = [0.0] * len(rows)
        self.model.eval()
        with torch.inference_mode():
            for batch in batches([len(row) for row in rows], _BATCH_TOKENS):
                logs = token_log_probabilities(self.model, [rows[number] for number in batch])
                for number, value in zip(batch, logs, strict=True):
                    values[number] = float(value.sum())
        return values

    def save(self, folder: Path) -> None:
        """Write weights (an adapter where the model has one), tokenizer and facts."""
        with boundary(str(folder)), quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        write_facts(folder, {**self.facts, "kind": "causal", "style": self.prompting.style,
                             "longest": self.prompting.longest, "new_tokens": self.new_tokens,
                             "seed": self.seed})  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> CausalPredictor:
        """Open a folder; the model goes to the GPU where there is one.

        Raises:
            ConfigError: a file is missing or broken, the adapter's base is gone, or torch is not installed.
        """
        need_torch()
        import torch

        facts = facts_of(folder)
        with quiet():
            try:
                model, tokenizer = open_model(folder)
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ConfigError(f"{folder} cannot be opened as a language model: {why}") from None
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        longest = facts.get("longest") or context_of(model.config) or 1024
        prompting = Prompting(tokenizer, facts.get("style", "raw"), longest)
        return cls(model, prompting, facts.get("new_tokens", _NEW_TOKENS), seed=facts.get("seed", 0), facts=facts)


def open_model(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a folder; an adapter is laid over its base and merged into it, to be as fast."""
    from transformers import AutoModelForCausalLM

    if not (folder / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True), open_tokenizer(folder)
    from peft import PeftConfig, PeftModel

    base = Path(str(PeftConfig.from_pretrained(str(folder)).base_model_name_or_path))
    if not (base / "config.json").is_file():
        raise ConfigError(f"{folder} is an adapter, and its base model is not at {base}; put it there, or train again")
    whole = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
    return PeftModel.from_pretrained(whole, str(folder)), open_tokenizer(folder)


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer, which pads on any side it is asked for and never says that a text is long."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def context_of(config: Any) -> int | None:
    """Tokens a model can read, as its config says; None where it says nothing."""
    return next((int(value) for name in _CONTEXTS if (value := getattr(config, name, None))), None)


def token_log_probabilities(model: Any, rows: Sequence[Encoded]) -> Iterator[Any]:
    """Log-probabilities of the completion's tokens of each row; the head is computed at those places only."""
    import torch

    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor([*row.prompt, *row.completion])
        mask[place, : len(row)] = 1
    states = backbone(model)(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)[0]
    head = model.get_output_embeddings()
    for place, row in enumerate(rows):
        first = len(row.prompt) - 1
        logits = head(states[place, first : len(row) - 1]).float()
        wanted = torch.tensor(row.completion, device=logits.device)
        yield logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0]


def backbone(model: Any) -> Any:
    """The model without its head, adapters included."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.base_model


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Row numbers, longest together, at most about `tokens` tokens in each batch with its padding."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    while order:
        size = max(1, tokens // max(1, lengths[order[0]]))
        batch, order = order[:size], order[size:]
        yield batch
