"""What all families know of images and positions, on the host and in kernels.

image         extents and pitches of an image, three numbers for three axes
convolution   a convolution as one table: phases, and the terms that each of their positions sums over
decode        device functions: a block's number into what it owns, a position into (t, h, w), and back into the place of an element
"""
