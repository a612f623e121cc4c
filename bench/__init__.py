"""Seconds, not FLOPs: pytest-benchmark suites over fastbert_core, and the tables made from their results."""
