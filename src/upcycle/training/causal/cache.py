"""What a language model remembers while it writes: keys and values, in memory that has room for what comes.

In: a model. Out: a cache for `generate`. The decision: transformers' own copies all it remembers to add one token;
here a token is written into room that is there already.
"""

from __future__ import annotations

from typing import Any

_ROOM = 160  # tokens; more than most answers have
_KEPT_BYTES = 1 << 30
_WITHOUT_HEADS = 8_192  # tokens at once of a model that does not remember keys and values


def roomy_cache(model: Any) -> Any:
    """An empty cache for this model; None where its layers remember in another way than one key a token."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):
        """Keys and values with room behind them."""

        room: tuple[Any, Any] | None = None

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            keys, values = self.keys, self.values
            if not self.is_initialized or keys is None or values is None or not keys.numel():
                return super().update(key_states, value_states, *args, **kwargs)
            before, more = keys.shape[-2], key_states.shape[-2]
            if self.room is None or self.room[0].shape[-2] < before + more or len(self.room[0]) != len(keys):
                self.room = (_with_room(keys, more), _with_room(values, more))
            kept = []
            for room, new in zip(self.room, (key_states, value_states), strict=True):
                room[:, :, before : before + more] = new
                kept.append(room[:, :, : before + more])
            self.keys, self.values = kept
            return kept[0], kept[1]

    cache = DynamicCache(config=model.config)
    if not cache.layers or any(type(one) is not DynamicLayer for one in cache.layers):
        return None
    cache.layers = [Roomy() for _ in cache.layers]
    return cache


def _with_room(kept: Any, more: int) -> Any:
    rows, heads, tokens, width = kept.shape
    room = kept.new_empty(rows, heads, tokens + more + _ROOM, width)
    room[:, :, :tokens] = kept
    return room


def tokens_remembered(model: Any) -> int:
    """So many tokens fill a gibibyte with keys and values."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if heads is None:
        return _WITHOUT_HEADS
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    heads = getattr(config, "num_key_value_heads", None) or heads
    return max(1, _KEPT_BYTES // (2 * config.num_hidden_layers * heads * width * model.dtype.itemsize))
