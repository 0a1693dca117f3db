"""Audit of a set: what can be had without reading its questions, what it holds twice, and what it has too much of."""

from cvalues.scoring.audit.auditing import audit
from cvalues.scoring.audit.report import AuditReport, BarResult
from cvalues.scoring.audit.settings import Auditing
from cvalues.scoring.audit.shortcuts import Shortcut

__all__ = ["AuditReport", "Auditing", "BarResult", "Shortcut", "audit"]
