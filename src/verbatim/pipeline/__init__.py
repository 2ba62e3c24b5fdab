"""From a request to a transcript."""
