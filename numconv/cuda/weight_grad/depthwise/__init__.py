"""Where a weight belongs to one channel of the image: sums over positions, a block for each channel, its threads added by a tree."""
