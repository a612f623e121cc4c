"""The paper's tables and figures, reproduced from the shared core."""
