"""Scores by the rules of published papers, where they are not ours."""
