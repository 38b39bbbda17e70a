"""`python -m verydeep` is the command `verydeep`; torchrun starts it so."""

from verydeep.cli.main import main

main()
