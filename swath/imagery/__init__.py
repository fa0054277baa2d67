"""From rasters and drawings to pixels: scenes, tiles, drawn scenes."""
