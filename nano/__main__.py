"""`python -m nano VERB ...`: the command line of swath, which then knows the base kinds too."""

import nano  # noqa: F401 (its import adds the kinds)
from swath.cli import main

if __name__ == "__main__":
    main()
