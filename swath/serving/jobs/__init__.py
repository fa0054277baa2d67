"""Files, tuning jobs and batches: what a server works off while it serves."""
