"""A conversation in a terminal: its commands, and the picture of an answer's boxes."""
