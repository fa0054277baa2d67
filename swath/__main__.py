"""`python -m swath` is `swath`."""

from swath.cli import main

main()
