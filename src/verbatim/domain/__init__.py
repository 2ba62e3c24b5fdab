"""Frozen, typed values that cross the modules; imports nothing of ours."""
