"""Where Python that a model wrote may run: an interpreter of its own, in processes of its own, with nothing to reach.

A program defines `def f(record)`; `Sandbox.run(code, rows)` gives one outcome per row, a value or a named failure. The
one decision: whatever happens, a row's outcome is what it would be if the program ran on that row alone, so neither
other rows nor the number of workers nor the batches can change a dataset.
"""

from upcycle.sandbox.dialect import DIALECT, MODULES
from upcycle.sandbox.outcome import JSON, Fail, Failed, Outcome, Value
from upcycle.sandbox.pool import Sandbox, check_program

__all__ = ["DIALECT", "JSON", "MODULES", "Fail", "Failed", "Outcome", "Sandbox", "Value", "check_program"]
