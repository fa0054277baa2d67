"""Two dates of one place: brought onto one grid, laid on one another, and asked about."""
