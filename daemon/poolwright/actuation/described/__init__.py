"""APIs that are described in a file: its shape, and what a call of such an API is made of."""
