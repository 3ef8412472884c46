"""Winograd's F(m, r) on one axis or two of any convolution: fewer multiplications, on the same register tiles.  The row `winograd`.

    for each task (sample, group, box of targets, range of output channels)
        V = Bᵀ d B: rows of the source transformed along W while they are copied, then along A        planes, pixels
        for each superblock of output channels
            weights given plain and used by few tasks: U = G g Gᵀ of a chunk of input channels        filters
            for each frequency, tile of positions, block: M = U·V by gemm_tile or spread_tile; pieces are terms
            for each channel: y = Aᵀ M A, bias, activation, rows or pixels of the target              planes, pixels

A 3×3 kernel takes 36 multiplications for 4×4 outputs where direct convolution takes 144; five taps on one axis 8 for 20, eleven 21 for 44.
Longer filters and strided ones are cut into pieces (`axes`).  A dilated axis is `dilation` interleaved ones without, whose positions stand
side by side.  Channels first, positions are in the lanes (`planes`); channels last, channels are (`pixels`).
The row `winograd_weights` (`weights`) is the weight gradient on the same axes, pieces and points.
A NaN or an infinity of the input spreads over its tile.  Lavin and Gray, arXiv 1509.09308; points: Barabasz et al., arXiv 1803.10986.
"""
