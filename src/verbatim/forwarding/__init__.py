"""A front end without a model: it passes recordings on to servers that have one."""
