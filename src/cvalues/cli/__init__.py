"""The command line. `main` is the entry point; commands are thin and call `cvalues.workflows`."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> None:
    """Runs the command line and exits with its code.

    0 done, 1 the check failed, 2 usage or bad input, 3 some calls failed for good, 4 not enough data to decide, 130 interrupted.
    """
    from cvalues.cli.app import app
    from cvalues.cli.show import complain
    from cvalues.errors import CValuesError

    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is not UTF-8 shows a replacement for what it cannot show, instead of failing in mid-table.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        app()
    except CValuesError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) has left; that is no error of ours.
        sys.stderr.close()
        sys.exit(0)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
