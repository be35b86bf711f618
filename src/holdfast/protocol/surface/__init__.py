"""The volatility surface, and the marks and risk rows that come from it."""
