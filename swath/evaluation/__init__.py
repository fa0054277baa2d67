"""From a model and a set to scores and a report."""
