"""Who may run, and when."""
