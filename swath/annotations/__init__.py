"""From any format of labels to `AnnotatedImage`: readers, splits, lint."""
