"""What the HTTP dialects share: streamed uploads, server-sent events, disconnects."""
