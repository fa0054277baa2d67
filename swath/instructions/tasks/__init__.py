"""The tasks: what can be asked of an annotated image, a row each."""
