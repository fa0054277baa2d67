"""The style sheet of a report."""

from pathlib import Path

CSS = Path(__file__).with_name("report.css").read_text("utf-8")
