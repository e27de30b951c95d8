"""upcycle makes the training set a task needs out of data that already exist.

    report = await upcycle.build("Say what a Python function does", examples="demos.jsonl", rows=500, out="runs/x")

Names are resolved when they are first used; importing the package does nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upcycle.api import build, curate, describe, evaluate, plan, search, train
    from upcycle.budget import Budget
    from upcycle.contract import Contract
    from upcycle.errors import UpcycleError
    from upcycle.llm.model import Completion, Model, Request, Usage
    from upcycle.look import retry, status, why
    from upcycle.records import Dropped, Example, Origin, Record
    from upcycle.report.page import make_report
    from upcycle.report.summary import Report
    from upcycle.share import export, push
    from upcycle.task import Demonstration, Task, make_task

__version__ = "0.1.0"

_WHERE = {
    "compare": "api",
    "describe": "api",
    "train": "api",
    "curate": "api",
    "evaluate": "api",
    "plan": "api",
    "search": "api",
    "status": "look",
    "why": "look",
    "retry": "look",
    "export": "share",
    "push": "share",
    "Task": "task",
    "Demonstration": "task",
    "make_task": "task",
    "Contract": "contract",
    "Budget": "budget",
    "Record": "records",
    "Example": "records",
    "Dropped": "records",
    "Origin": "records",
    "Report": "report.summary",
    "make_report": "report.page",
    "Model": "llm.model",
    "Request": "llm.model",
    "Completion": "llm.model",
    "Usage": "llm.model",
    "UpcycleError": "errors",
}

__all__ = [
    "Budget",
    "Completion",
    "Contract",
    "Demonstration",
    "Dropped",
    "Example",
    "Model",
    "Origin",
    "Record",
    "Report",
    "Request",
    "Task",
    "UpcycleError",
    "Usage",
    "build",
    "compare",
    "curate",
    "describe",
    "evaluate",
    "export",
    "make_report",
    "make_task",
    "plan",
    "push",
    "retry",
    "search",
    "status",
    "train",
    "why",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'upcycle' has no attribute {name!r}")
    value = getattr(import_module(f"upcycle.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})


class _Package(ModuleType):
    """This package, whose `build` is the function: importing the module `upcycle.build` would rebind the name."""

    @property
    def build(self) -> Any:
        return import_module("upcycle.api").build

    @build.setter
    def build(self, module: ModuleType) -> None:
        """Leave the name to the function."""


sys.modules[__name__].__class__ = _Package
