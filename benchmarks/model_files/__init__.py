"""The random models in the formats that the programs read."""
