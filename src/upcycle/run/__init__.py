"""The run: a directory, its journal, its ledger, and the only concurrency there is."""

from upcycle.run.folder import Event, Listener, Run, write_text
from upcycle.run.journal import Journal
from upcycle.run.ledger import Bound, Budget, Ledger, parse_budget
from upcycle.run.rows import run_rows

__all__ = [
    "Bound",
    "Budget",
    "Event",
    "Journal",
    "Ledger",
    "Listener",
    "Run",
    "parse_budget",
    "run_rows",
    "write_text",
]
