"""A thread by itself: a strip of rows of one column, the rows that a tap column reads in registers."""
