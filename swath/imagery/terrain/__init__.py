"""Drawn ground of any size with ships and storage tanks on it, every box of which is known."""
