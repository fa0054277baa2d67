"""What a scan of a whole scene is made of: tiles, merging, ground, layers and pages."""
