"""The code broken on purpose, to see that a test or the gate notices: `python -m tests.mutation`."""
