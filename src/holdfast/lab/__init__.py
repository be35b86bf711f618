"""The fault lab: simulated ports, Byzantine mutators, history, agents, checkers."""
