"""Collateral: which assets count beside USDC, after which haircut, and up to which caps. Cash is never marked down."""
