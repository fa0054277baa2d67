"""Benchmarks as they are run: where the data lies, what is asked, how it is scored."""
