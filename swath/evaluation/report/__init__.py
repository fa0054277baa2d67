"""The report: everything it says computed once, then drawn as one page."""
