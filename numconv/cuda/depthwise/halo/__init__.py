"""A block through shared memory: its tile of the image with the halo around it is loaded once, and all its outputs read it from there."""
