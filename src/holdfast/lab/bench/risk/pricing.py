"""The rows of pricing."""
