"""One file a wire: parse, render, map errors."""
