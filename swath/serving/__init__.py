"""A model behind an address, in the shapes that the OpenAI and Mistral clients speak."""
