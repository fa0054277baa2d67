"""Scans of whole scenes as jobs: asked for, worked off, their layers and maps fetched."""
