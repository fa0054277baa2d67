"""A model behind an address, as the OpenAI and Mistral clients speak to it, and on a page."""
