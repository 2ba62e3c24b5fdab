"""Pure functions of the way from bytes to a transcript; state is passed in and handed out."""
