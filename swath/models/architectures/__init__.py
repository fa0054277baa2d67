"""Model architectures that transformers does not bring, and swath-nano's own."""
