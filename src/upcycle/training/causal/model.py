"""A causal language model as a predictor: it generates, and it scores choices by their log-likelihood.

Opened from a folder of `upcycle train` (whole weights, or a LoRA adapter and the place of its base) or from any causal
model of Hugging Face. The decision: a model we trained is asked as it was trained, any other only continues text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from upcycle.errors import ConfigError, boundary
from upcycle.training.bases import need_torch, quiet
from upcycle.training.causal import scoring
from upcycle.training.causal.cache import roomy_cache, tokens_remembered
from upcycle.training.causal.prompting import Prompting
from upcycle.training.chains import answer_of
from upcycle.training.memory import halved
from upcycle.training.saved import facts_of, write_facts

TEMPERATURE = 0.7
_NEW_TOKENS = 128
_STRETCH = 32  # tokens after which answers that have ended are let go
_CONTEXTS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(slots=True)
class CausalPredictor:
    """A causal language model.

    Attributes:
        model, prompting: transformers' model, and how it is asked.
        new_tokens: most tokens it may generate.
        cut: inputs of the last call that were longer than the model reads; their beginning was cut off.
        facts: what `upcycle-model.json` says of it.
    """

    model: Any
    prompting: Prompting
    new_tokens: int = _NEW_TOKENS
    temperature: float = TEMPERATURE
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    cut: int = 0

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
        asked = [self.prompting.prompt(text, room=room) for text in inputs]
        self.cut = sum(cut > 0 for _, cut in asked)
        prompts = [prompt or [self.tokenizer.eos_token_id] for prompt, _ in asked]
        said: list[list[str]] = [[] for _ in inputs]

        def answer(some: list[int]) -> None:
            outputs = self._generate([prompts[number] for number in some], samples)
            for place, number in enumerate(some):
                said[number] = outputs[place * samples : (place + 1) * samples]

        self.model.eval()
        with torch.random.fork_rng(), torch.inference_mode(), quiet():
            torch.manual_seed(self.seed)
            most = tokens_remembered(self.model) // samples
            for batch in batches([len(prompt) + self.new_tokens for prompt in prompts], most):
                halved(batch, answer)
        return [[answer_of(text) for text in texts] for texts in said] if self.facts.get("teach") == "chain" else said

    def _generate(self, prompts: Sequence[Sequence[int]], samples: int) -> list[str]:
        import torch

        width = max(map(len, prompts))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        drawn: dict[str, Any] = {"do_sample": False}
        cache = roomy_cache(self.model)
        if samples > 1:
            drawn = {"do_sample": True, "temperature": self.temperature, "top_k": 0, "top_p": 1.0}
            # A prompt is read once, however many draws are made of it: most of the work where answers are short.
            if cache is not None and self._read(ids, mask, cache):
                cache.batch_repeat_interleave(samples)
            ids, mask = ids.repeat_interleave(samples, 0), mask.repeat_interleave(samples, 0)
        tokens = self._written(ids, mask, cache, drawn)
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        # Text that is only continued goes on behind the answer; an empty line is where the next example would begin.
        return [text.lstrip("\n").split("\n\n")[0].strip() if self.continues else text.strip() for text in texts]

    def _written(self, ids: Any, mask: Any, cache: Any, drawn: dict[str, Any]) -> list[list[int]]:
        """Tokens of each answer; what has ended is not computed any further while the others go on."""
        import torch

        ends = self.model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        device, pad = self.model.device, self.tokenizer.pad_token_id
        said: list[list[int]] = [[] for _ in ids]
        going, left = list(range(len(ids))), self.new_tokens
        while going and left:
            step = min(_STRETCH, left) if cache is not None else left
            made = self.model.generate(
                input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=step, pad_token_id=pad,
                past_key_values=cache, **drawn,
            )  # fmt: skip
            new = made[:, ids.shape[1] :].tolist()
            for row, tokens in zip(going, new, strict=True):
                said[row] += tokens
            left -= step
            on = [place for place, tokens in enumerate(new) if not ends & set(tokens)]
            if len(on) < len(going) and cache is not None and on:
                cache.batch_select_indices(torch.tensor(on, device=device))
            going = [going[place] for place in on]
            ids, mask = made[on].cpu(), torch.cat([mask, mask.new_ones(len(mask), made.shape[1] - ids.shape[1])], 1)[on]
        return said

    def _read(self, ids: Any, mask: Any, cache: Any) -> bool:
        """Remember all tokens but the last of each prompt; False where the model cannot be told their places."""
        body = backbone(self.model)
        if ids.shape[1] < 2 or "position_ids" not in signature(body.forward).parameters:
            return False
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, :-1]
        body(
            input_ids=ids[:, :-1].to(self.model.device), attention_mask=mask[:, :-1].to(self.model.device),
            position_ids=places.to(self.model.device), use_cache=True, past_key_values=cache,
        )  # fmt: skip
        return True

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Sum of the log-probabilities of each choice's tokens after each input."""
        if self.continues:
            found = scoring.likelihoods(self.model, self.tokenizer, inputs, choices, most=self.prompting.longest)
            self.cut = found.cut
            return found.values
        items = [self._asked(text, asked) for text, asked in zip(inputs, choices, strict=True)]
        self.cut = sum(item.cut > 0 for item in items)
        return scoring.score_tokens(self.model, items)[0]

    def token_counts(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[int]]:
        """How many tokens of each choice are scored: what a likelihood is divided by to be one per token."""
        if self.continues:
            most = self.prompting.longest
            encoded = [scoring.encode(self.tokenizer, *one, most=most) for one in zip(inputs, choices, strict=True)]
            return [[len(option) for option in item.options] for item in encoded]
        return [[len(self.prompting.completion(choice)) for choice in asked] for asked in choices]

    def _asked(self, text: str, choices: Sequence[str]) -> scoring.Encoded:
        options = tuple(tuple(self.prompting.completion(choice)) for choice in choices)
        longest = max(options, key=len, default=())
        prompt, cut = self.prompting.prompt(text, room=self.prompting.longest - len(longest))
        if prompt is None:
            choice = choices[options.index(longest)]
            raise ConfigError(
                f"a choice is longer than the {self.prompting.longest} tokens this model can read: {choice[:60]!r}"
            )
        return scoring.Encoded(tuple(prompt), options, cut)

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
    """Model and tokenizer of a folder, whether it holds whole weights or an adapter and the place of its base."""
    from transformers import AutoModelForCausalLM

    if not (folder / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True), open_tokenizer(folder)
    from peft import PeftConfig

    base = Path(str(PeftConfig.from_pretrained(str(folder)).base_model_name_or_path))
    if not (base / "config.json").is_file():
        raise ConfigError(f"{folder} is an adapter, and its base model is not at {base}; put it there, or train again")
    return with_adapter(base, folder), open_tokenizer(folder)


def with_adapter(base: Path, folder: Path) -> Any:
    """A base with an adapter over it; what is saved of it is the adapter alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, local_files_only=True), str(folder)
    )  # fmt: skip
    # Added to the weights it costs nothing to predict with; half precision would round away a part of what was learned.
    if model.dtype == torch.float32:
        model.merge_adapter()
    return model


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
