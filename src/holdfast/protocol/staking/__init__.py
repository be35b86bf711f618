"""Staking: the validators, their power, and what has been proven against them.

Power weighs oracle reports. A proven equivocation is recorded once per validator and height; what it costs is decided
by the slashing rules, which are not built yet.
"""
