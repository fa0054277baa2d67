"""What a task is scored by: measures with their formulas, and how sure they are."""
