"""Any weight gradient as a product over positions, by multiply-adds in registers."""
