"""The studio: one page on which a model is fed, tuned, compared and talked to."""
