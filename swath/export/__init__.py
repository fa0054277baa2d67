"""Leaving swath: Hugging Face folders and cards."""
