"""What a long run must survive, done to a short one: `python -m tests.reliability`."""
