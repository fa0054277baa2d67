"""Brushes, textures, objects and kinds behind `imagery.synthetic`."""
