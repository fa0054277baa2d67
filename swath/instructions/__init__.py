"""From annotated images to conversations: tasks, phrasing, box text, builder."""
