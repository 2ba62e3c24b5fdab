"""Speed and memory of Verbatim beside other Whisper programs, on equal work in one run."""
