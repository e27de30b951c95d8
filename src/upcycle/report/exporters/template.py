"""How an example becomes a prompt and a completion, or the turns of a conversation: one template for every format.

The decision: the input is the prompt and the output the completion, as they are. The instruction and the rationale are
added only where the user asks, because a trainer that wants them in another place can put them there, and one that
does not want them cannot take them out.
"""

from __future__ import annotations

from dataclasses import dataclass

from upcycle.records import Example

Turn = dict[str, str]
"""{"role": "system" | "user" | "assistant", "content": text}."""


@dataclass(frozen=True, slots=True)
class Template:
    """What is put around an example.

    Attributes:
        instruction: said before every input (as the system's turn in a conversation), None for nothing.
        rationale: whether the reasoning stands before the output, an empty line between them.
    """

    instruction: str | None = None
    rationale: bool = False

    def completion(self, example: Example) -> str:
        """What the model is to say: the output is always its last paragraph."""
        if self.rationale and example.rationale and example.rationale.strip():
            return f"{example.rationale.strip()}\n\n{example.output}"
        return example.output

    def prompt(self, example: Example) -> str:
        """What the model is given, as one text."""
        return f"{self.instruction}\n\n{example.input}" if self.instruction else example.input

    def turns(self, example: Example) -> list[Turn]:
        """The same as a conversation of two turns, or three with the instruction."""
        said = [
            {"role": "user", "content": example.input},
            {"role": "assistant", "content": self.completion(example)},
        ]
        return [{"role": "system", "content": self.instruction}, *said] if self.instruction else said
