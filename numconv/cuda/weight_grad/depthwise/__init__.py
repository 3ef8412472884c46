"""Where a weight belongs to one channel of the image: no product of matrices, but sums over positions, a tree of threads for each channel."""
