"""Everything that can be known to be wrong before anything is touched: pure checks over facts the shell gathered."""

from havre.checks.case import Case, Check
from havre.checks.registry import ALL
from havre.checks.report import Report, Waived, run_checks

__all__ = ["ALL", "Case", "Check", "Report", "Waived", "run_checks"]
