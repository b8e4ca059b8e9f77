"""Measurements against a peer in the same run. Never timed tests: a shared machine would make them lie."""
