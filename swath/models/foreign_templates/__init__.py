"""Chat templates that checkpoints bring, rendered within limits of time and memory."""
