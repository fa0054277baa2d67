"""From a set and a model to a run: stages, losses, trainer."""
