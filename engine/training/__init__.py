"""The training loop mp1 and the worker process that runs it."""
