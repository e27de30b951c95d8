"""Test kit, public: models that say what a test wrote down, and a server that fails as real ones do.

    ScriptedModel   a Model that answers from a dict, a list or a function
    FlakyModel      any Model, with faults drawn from a seed
    FakeServer      the OpenAI and the Anthropic wire on a local port, with faults, counting what was paid
    FakeHub         a Hub on a local port: repositories, commits, large files, reading back
    write_question, write_table_question  what a model would reply to the prompts of Source2Synth, by rule

`python -m upcycle.testing serve` runs the server as a process of its own.
"""

from __future__ import annotations

from upcycle.testing.hub import FakeHub, HubFile, HubRepo
from upcycle.testing.models import FlakyModel, ScriptedModel
from upcycle.testing.questions import write_question
from upcycle.testing.server import FakeServer
from upcycle.testing.table_questions import write_table_question
from upcycle.testing.wire import RefusalError, satisfy

__all__ = [
    "FakeHub",
    "FakeServer",
    "FlakyModel",
    "HubFile",
    "HubRepo",
    "RefusalError",
    "ScriptedModel",
    "satisfy",
    "write_question",
    "write_table_question",
]
