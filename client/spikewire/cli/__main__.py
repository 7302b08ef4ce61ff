"""`python -m spikewire.cli` is the `spikewire` command."""

from spikewire.cli import main

main()
