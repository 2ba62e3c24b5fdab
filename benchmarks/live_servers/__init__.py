"""Programs that transcribe live speech: how each is started, spoken to and understood."""
