"""What turns windows into tokens: models, features, voice activity."""
