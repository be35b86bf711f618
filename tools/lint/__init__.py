"""Our own lints: what no general tool knows about this code. Run as `python -m tools.lint [ROOT]`; standard library only."""
