"""swath turns imagery and its annotations into a vision-language model, and proves its worth."""
