"""`python -m cvalues` is the command line."""

from cvalues.cli import main

main()
