"""The figures, drawn from the stored results alone: no model and no trace is read."""
