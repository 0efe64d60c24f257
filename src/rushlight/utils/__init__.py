"""Helpers around training: `utils.data` loads batches."""
