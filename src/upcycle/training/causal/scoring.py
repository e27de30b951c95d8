"""How likely a causal language model finds each option of each item, with nothing computed twice.

In: a model and tokenizer of transformers, prompts, and the options of each. Out: the natural log-likelihood of every
option. What all prompts begin with (demonstrations, an instruction) is run once; what one item's options share is run
once an item, and its options stand behind it in one row, each of which sees the prompt and itself only. The decision:
this is held against the plain way on a piece of the first item, because architectures differ in what they do with
positions and masks of one's own; a model that answers otherwise is scored the plain way, slower and right.

Prompt and option are cut into tokens as lm-evaluation-harness does it (`api/model.py`, `_encode_pair`): spaces at the
end of the prompt go to the option, and the option's tokens are those that the whole text has beyond the prompt's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.errors import ConfigError, UpcycleError
from upcycle.training.memory import give_back, is_out_of_memory

if TYPE_CHECKING:
    import torch

_AT_ONCE = {"cpu": 2048, "cuda": 32_768}  # tokens of a batch, padding included
_SAME = 1e-3  # per token; what rounding explains in single precision
_SAME_HALF = 0.15
_TRIED = 12  # tokens
_LONGEST = 1_000_000  # what a tokenizer says that knows no limit


class Encoded(NamedTuple):
    """One item in tokens.

    Attributes:
        prompt: never empty: a text of nothing is begun by the model's own first token.
        options: what is scored; never empty either.
        cut: tokens that were cut off the prompt's beginning to fit.
    """

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    cut: int = 0

    @property
    def size(self) -> int:
        return len(self.prompt) + sum(map(len, self.options))


class Likelihoods(NamedTuple):
    """What scoring found, in the order of the items.

    Attributes:
        values: natural log-likelihood of each option, summed over its tokens.
        tokens: how many tokens each option has.
        cut: items whose prompt was longer than the model reads; its beginning was cut off.
        shared: whether prompts were shared; False where the model does not allow it.
    """

    values: list[list[float]]
    tokens: list[list[int]]
    cut: int
    shared: bool


def likelihoods(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    options: Sequence[Sequence[str]],
    *,
    most: int | None = None,
    special: bool | None = None,
    shared: bool = True,
    at_once: int | None = None,
    told: Callable[[int, int], None] | None = None,
) -> Likelihoods:
    """Score every option of every prompt.

    Args:
        most: tokens that the model reads at once, where it does not say so itself.
        special: whether the tokenizer adds its first token; None: as it does by itself.
        shared: False scores each option with its whole prompt, one after the other: what the rest is tested against.
        at_once: tokens in a batch; halved by itself where memory does not suffice.
        told: hears how many items are done, of how many.

    Raises:
        ConfigError: an option is empty or longer than the model reads.
        UpcycleError: not even one item fits into memory.
    """
    most = most or context_of(model, tokenizer)
    encoded = [
        encode(tokenizer, prompt, these, most=most, special=special)
        for prompt, these in zip(prompts, options, strict=True)
    ]
    values, shared = score_tokens(model, encoded, shared=shared, at_once=at_once, told=told)
    tokens = [[len(option) for option in item.options] for item in encoded]
    return Likelihoods(values, tokens, sum(item.cut > 0 for item in encoded), shared)


def context_of(model: Any, tokenizer: Any = None) -> int:
    """How many tokens the model reads at once."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        if isinstance(found := getattr(config, name, None), int) and found > 0:
            return found
    told = getattr(tokenizer, "model_max_length", None)
    return told if isinstance(told, int) and 0 < told < _LONGEST else 2048


def encode(tokenizer: Any, prompt: str, options: Sequence[str], *, most: int, special: bool | None = None) -> Encoded:
    """One item in tokens; a prompt that is too long loses its beginning, as what stands next to the answer matters.

    Raises:
        ConfigError: an option is empty or alone longer than `most` tokens.
    """
    how = {} if special is None else {"add_special_tokens": special}
    bare = prompt.rstrip()
    spaces = prompt[len(bare) :]
    start = list(tokenizer.encode(bare, **how)) if bare else []
    found: list[tuple[int, ...]] = []
    for option in options:
        if not (spaces + option).strip():
            raise ConfigError("an empty choice cannot be scored; every choice needs a text")
        if bare:
            tokens = tuple(tokenizer.encode(bare + spaces + option, **how)[len(start) :])
        else:
            tokens = tuple(tokenizer.encode(spaces + option, add_special_tokens=False))
        if len(tokens) > most:
            raise ConfigError(
                f"a choice of {len(tokens)} tokens is longer than the {most} the model reads ({option[:40]!r}...);"
                " take a model with a longer context"
            )
        # Prompt and option may melt into the prompt's last token; nothing is left to score then.
        found.append(tokens or tuple(tokenizer.encode(option, add_special_tokens=False)))
    start = start or [_first_token(tokenizer)]
    room = most + 1 - max(map(len, found), default=0)  # the last token of an option is predicted, never read
    cut = max(0, len(start) - room)
    return Encoded(tuple(start[cut:]), tuple(found), cut)


def _first_token(tokenizer: Any) -> int:
    for name in ("bos_token_id", "eos_token_id"):
        if (found := getattr(tokenizer, name, None)) is not None:
            return int(found)
    raise ConfigError("the tokenizer has no first token, so an empty prompt cannot be scored; give inputs with text")


def score_tokens(
    model: Any,
    items: Sequence[Encoded],
    *,
    shared: bool = True,
    at_once: int | None = None,
    told: Callable[[int, int], None] | None = None,
) -> tuple[list[list[float]], bool]:
    """Score items that are tokens already; also says whether prompts were shared."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            shared = shared and bool(items) and _may_share(model, items)
            if not shared:
                return [_plain(model, item) for item in items], False
            return _Sharing(model, items, at_once or _AT_ONCE.get(model.device.type, 4096), told).scored(), True
    finally:
        model.train(was_training)


def _plain(model: Any, item: Encoded) -> list[float]:
    """Each option with its whole prompt."""
    import torch

    found: list[float] = []
    for option in item.options:
        read = torch.tensor([[*item.prompt, *option[:-1]]], device=model.device)
        logits = model(input_ids=read, use_cache=False, logits_to_keep=len(option)).logits[0, -len(option) :]
        wanted = torch.tensor(option, device=model.device)
        found.append(float(_log_likely(logits, wanted).sum()))
    return found


def _log_likely(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Log-likelihood of a token at each place."""
    logits = logits.float()
    return logits.gather(-1, wanted[..., None]).squeeze(-1) - logits.logsumexp(-1)


def _may_share(model: Any, items: Sequence[Encoded]) -> bool:
    """Whether the model gives a short piece of an item the same likelihoods both ways."""
    import torch

    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    window = getattr(config, "sliding_window", None)
    if isinstance(window, int) and max(item.size for item in items) >= window:
        return False  # masks of ours would show it what its own would not
    one = items[0]
    options = tuple(option[:_TRIED] for option in one.options[:3])
    # Two rows of different length with a part in common: every trick is used once.
    tried = [Encoded(one.prompt[: 2 * _TRIED], options), Encoded(one.prompt[:_TRIED], options)]
    try:
        found = _Sharing(model, tried, 1 << 30, None).scored()
    except (TypeError, ValueError, NotImplementedError, AttributeError, IndexError, RuntimeError):
        return False  # the architecture takes no masks, positions or remembered states of ours
    wanted = [_plain(model, item) for item in tried]
    near = _SAME if model.dtype in (torch.float32, torch.float64) else _SAME_HALF
    return all(
        math.isclose(one, other, abs_tol=near * len(option))
        for ones, others in zip(found, wanted, strict=True)
        for one, other, option in zip(ones, others, options, strict=True)
    )


class _Sharing:
    """Scores items batch by batch behind the beginning that all their prompts have in common."""

    def __init__(
        self, model: Any, items: Sequence[Encoded], at_once: int, told: Callable[[int, int], None] | None
    ) -> None:
        self._model, self._items, self._at_once = model, items, at_once
        self._told = told or (lambda done, of: None)
        whole = [item.prompt for item in items if not item.cut] or [item.prompt for item in items]
        self._common = _common(whole)
        self._kept: Any = None

    def scored(self) -> list[list[float]]:
        found: dict[int, list[float]] = {}
        # Prompts that were cut begin otherwise: they come last, with nothing in common.
        for cut in (False, True):
            places = [number for number, item in enumerate(self._items) if (item.cut > 0) is cut]
            if not places:
                continue
            if cut:
                self._common, self._kept = _common([self._items[number].prompt for number in places]), None
            # Items of like length side by side waste little padding; the longest first meets the limit at once.
            places.sort(key=lambda number: -self._items[number].size)
            for batch in self._batches(places):
                found.update(zip(batch, self._fitting(batch), strict=True))
                self._told(len(found), len(self._items))
        return [found[number] for number in range(len(self._items))]

    def _batches(self, places: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for number in places:
            width = self._items[batch[0]].size - len(self._common) if batch else 0
            if batch and (len(batch) + 1) * width > self._at_once:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    def _fitting(self, batch: list[int]) -> list[list[float]]:
        """One batch, halved until it fits into memory."""
        try:
            return self._batch([self._items[number] for number in batch])
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise UpcycleError(
                    f"there is not enough memory to score one item of {self._items[batch[0]].size} tokens; take a"
                    " smaller model or shorter inputs"
                ) from error
        give_back()
        half = len(batch) // 2
        self._at_once = max(1, self._at_once // 2)
        return self._fitting(batch[:half]) + self._fitting(batch[half:])

    def _batch(self, items: Sequence[Encoded]) -> list[list[float]]:
        import torch

        rows = _Rows.of(items, len(self._common), self._model)
        past = self._remembered(len(items))
        logits = self._model(
            input_ids=rows.tokens,
            attention_mask=rows.mask,
            position_ids=rows.positions,
            past_key_values=past,
            use_cache=past is not None,
            logits_to_keep=rows.kept,
        ).logits[:, -rows.kept :]
        found: list[list[float]] = []
        for row, item in enumerate(items):
            values, at = [], 1
            for option in item.options:
                # The first token is predicted where the prompt ends, the others where the one before them stands.
                places = [0, *range(at, at + len(option) - 1)]
                wanted = torch.tensor(option, device=logits.device)
                values.append(float(_log_likely(logits[row, places], wanted).sum()))
                at += len(option) - 1
            found.append(values)
        return found

    def _remembered(self, rows: int) -> Any:
        """What the model remembers of the common beginning, once for each row."""
        import copy

        import torch

        if not self._common:
            return None
        if self._kept is None:
            read = torch.tensor([self._common], device=self._model.device)
            self._kept = self._model(input_ids=read, use_cache=True, logits_to_keep=1).past_key_values
        past = copy.deepcopy(self._kept)
        if rows > 1:
            past.batch_repeat_interleave(rows)
        return past


class _Rows(NamedTuple):
    """A batch: one row an item, its prompt to the left and its options behind it.

    Attributes:
        mask: 0 where a token is seen and very low where it is not; (rows, 1, tokens, common and tokens).
        kept: from the end of the prompts on, the places whose predictions are wanted.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    kept: int

    @classmethod
    def of(cls, items: Sequence[Encoded], common: int, model: Any) -> _Rows:
        import torch

        left = max(len(item.prompt) for item in items) - common
        right = max(sum(len(option) - 1 for option in item.options) for item in items)
        tokens = torch.zeros(len(items), left + right, dtype=torch.long)
        positions = torch.zeros_like(tokens)
        seen = torch.zeros(len(items), left + right, common + left + right, dtype=torch.bool)
        seen[:, :, :common] = True
        for row, item in enumerate(items):
            rest = item.prompt[common:]
            start = left - len(rest)
            tokens[row, start:left] = torch.tensor(rest)
            positions[row, start:left] = torch.arange(common, len(item.prompt))
            seen[row, start:left, common + start : common + left] = torch.ones(len(rest), len(rest)).tril().bool()
            at = left
            for option in item.options:
                if (length := len(option) - 1) == 0:
                    continue
                end = at + length
                tokens[row, at:end] = torch.tensor(option[:-1])
                positions[row, at:end] = torch.arange(len(item.prompt), len(item.prompt) + length)
                seen[row, at:end, common + start : common + left] = True
                seen[row, at:end, common + at : common + end] = torch.ones(length, length).tril().bool()
                at = end
        # Padding sees itself, or its row of attention would be divided by nothing.
        own = torch.arange(left + right)
        seen[:, own, common + own] = True
        device = model.device
        mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~seen, torch.finfo(model.dtype).min)
        return cls(tokens.to(device), positions.to(device), mask[:, None].to(device), right + 1)


def _common(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What all begin with, at least one token short of each: where a prompt ends, its options' first is predicted."""
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    same = next((at for at in range(most) if first[at] != last[at]), most)
    return first[:same]
