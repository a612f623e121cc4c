"""Answers to a careful reader's questions, each a pure function of traces."""
