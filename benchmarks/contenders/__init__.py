"""Each program behind one small interface; a module is imported in its own process only."""
