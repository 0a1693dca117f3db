"""The study: one database that holds everything that was asked, answered and judged."""

from cvalues.study.rows import Asked, Planned, Received
from cvalues.study.store import Study, open_study

__all__ = ["Asked", "Planned", "Received", "Study", "open_study"]
