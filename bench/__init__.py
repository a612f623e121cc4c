"""Seconds, not FLOPs: pytest-benchmark suites over fastbert_core, and the tables that are made from what they measure."""
