"""Original checkpoints of other projects, brought into model folders."""
