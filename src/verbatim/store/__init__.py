"""What outlives the process: SQLite in the data folder, or PostgreSQL."""
