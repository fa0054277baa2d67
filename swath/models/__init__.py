"""Models and how they are asked: families, encoding, the embedded base, the engine."""
