"""Gradients: the record of a call, and one rule for each kind of problem on it."""
