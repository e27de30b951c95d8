"""How an example becomes the tokens of a causal language model: the same in training, in scoring and in generation.

In: an input and an output. Out: two lists of token numbers, the prompt (masked in training) and the completion, which
keeps the end-of-sequence token. Three styles: "chat" puts the base model's own chat template around the input, "plain"
ends it with a line break, "raw" leaves the text as it is and adds no end (a foreign model that only continues text).
Where an example is longer than the model, the beginning of its input is cut, never its answer and never the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from upcycle.errors import ConfigError


class Encoded(NamedTuple):
    """One example in tokens.

    Attributes:
        cut: tokens left out of the input's beginning so that the rest fits.
    """

    prompt: list[int]
    completion: list[int]
    cut: int = 0

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class Prompting:
    """How one model is asked.

    Attributes:
        tokenizer: of Hugging Face.
        style: "chat", "plain" or "raw".
        longest: most tokens of prompt and completion together.
    """

    tokenizer: Any
    style: str
    longest: int

    @classmethod
    def of(cls, tokenizer: Any, context: int | None, longest: int | None) -> Prompting:
        """For training: the base's chat template when it has one.

        Args:
            context: tokens the model can read, as its config says.
            longest: what the user allows.

        Raises:
            ConfigError: more is allowed than the model can read.
        """
        if context and longest and longest > context:
            raise ConfigError(f"max_tokens {longest} is more than the {context} tokens this model can read; lower it")
        return cls(tokenizer, "chat" if tokenizer.chat_template else "plain", longest or context or 1024)

    def encode(self, text: str, output: str) -> Encoded | None:
        """Prompt and completion; None where the completion alone is too long for the model."""
        completion = self.completion(output)
        prompt, cut = self.prompt(text, room=self.longest - len(completion))
        return None if prompt is None else Encoded(prompt, completion, cut)

    def completion(self, output: str) -> list[int]:
        """The tokens the model is to say, with the end."""
        tokens = self._tokens(output)
        return tokens if self.style == "raw" else [*tokens, self.tokenizer.eos_token_id]

    def prompt(self, text: str, *, room: int) -> tuple[list[int] | None, int]:
        """The tokens before the answer, at most `room` of them, and how many were cut; None where nothing fits."""
        whole = self._framed(text)
        if len(whole) <= room:
            return whole, 0
        before = len(whole)
        rest = self._tokens(text)
        # Cut text joins its template in other tokens than whole text, so the length is looked at again.
        while len(whole) > room and rest:
            rest = rest[max(1, len(whole) - room) :]
            whole = self._framed(self.tokenizer.decode(rest))
        return (whole, before - len(whole)) if rest else (None, 0)

    def _framed(self, text: str) -> list[int]:
        if self.style == "chat":
            asked = [{"role": "user", "content": text}]
            return self._tokens(self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True))
        return self.tokenizer(readable(text if self.style == "raw" else f"{text}\n"), verbose=False)["input_ids"]

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(readable(text), add_special_tokens=False, verbose=False)["input_ids"]


def readable(text: str) -> str:
    """The text with lone halves of surrogate pairs, which no tokenizer reads, as question marks; as long as before."""
    return text.encode("utf-8", "replace").decode()


def encode_all(prompting: Prompting, pairs: Sequence[tuple[str, str]]) -> tuple[list[Encoded | None], list[str]]:
    """Every example in tokens (None for those that cannot fit), and what the user should know of it."""
    rows = [prompting.encode(text, output) for text, output in pairs]
    notes = []
    if cut := sum(row is not None and row.cut > 0 for row in rows):
        notes.append(
            f"{cut} of {len(rows)} inputs are longer than {prompting.longest} tokens; their beginning was cut off"
        )
    if missing := sum(row is None for row in rows):
        notes.append(f"{missing} of {len(rows)} examples have an output too long for {prompting.longest} tokens; "
                     "they were left out")  # fmt: skip
    return rows, notes
