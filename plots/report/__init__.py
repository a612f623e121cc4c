"""The report: one page with the tables, the figures, and a slider for the speed, drawn from the stored results."""
