"""Answers and detections made elsewhere, matched to a suite's questions."""
