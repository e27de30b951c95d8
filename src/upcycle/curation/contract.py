"""The contract check: drops an example whose output is not what the task's contract says it must be."""

from __future__ import annotations

from upcycle.contract import Contract
from upcycle.curation.check import KEEP, Check
from upcycle.errors import RowKind
from upcycle.records import Example, Verdict


def contract_check(contract: Contract) -> Check:
    """Drops what breaks the contract, with the contract's own sentence."""

    def check(example: Example) -> Verdict:
        reason = contract.violation(example.input, example.output, example.choices)
        return KEEP if reason is None else Verdict(keep=False, kind=RowKind.CONTRACT, reason=reason)

    return check
