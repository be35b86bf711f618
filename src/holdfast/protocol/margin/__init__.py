"""Margin: what an account must hold for what it holds.

Equity after stress is linear in the positions, scenario by scenario: a 32-vector per underlying, and a listed tuple of
rows for each joint scenario. The requirement is the worst loss, scaled, plus convex charges. Sums are exact integers,
so the incremental path and a rebuild from nothing give the same figures, in any order.
"""
