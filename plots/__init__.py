"""The figures and the report, drawn from the stored results alone: no model is run."""
