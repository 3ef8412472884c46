"""What stands between a plan and the card.

launch   kernels compiled once for each choice of constants; tables uploaded once; the caller's stream
arrays/  the card's arrays, or the simulator's under the same names
record   plans as kernels read them
"""
