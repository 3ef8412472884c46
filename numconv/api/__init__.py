"""The public functions, one file for each family; no arithmetic."""
