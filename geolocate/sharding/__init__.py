"""Shards: the I-th of N parts of a run's photos, the same on every machine without a word between them."""
