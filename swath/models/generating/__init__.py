"""Answers made token by token, several at once, from pictures that are looked at once."""
