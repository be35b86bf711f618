"""Our own lints: what no general tool knows about this code. Standard library only; `python -m tools.lint [ROOT]`."""
