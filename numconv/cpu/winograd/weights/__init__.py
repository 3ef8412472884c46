"""The weight gradient by Winograd's F(m, r): w = Gᵀ[ Σ_{n, tiles} (Bᵀ x B) ⊙ (A y Aᵀ) ]G, the forward pass with two transforms transposed.

    for each task (group, range of output channels, range of input channels)
        for each sample, each box of tiles
            x, its channels turned into the lanes, to V = Bᵀ x B: (frequency, position, input channel)                  lift
            y likewise to Y = A y Aᵀ: (frequency, block of output channels, position, channel of the block)             lift
            for each block of output channels, each run of input channels, each frequency, each piece of the taps
                spread_tile over the positions: S[frequency, piece, input channel, channel of the block] += V·Y
            after the last: Gᵀ S G, turned back in squares into the weights                                             lift

Axes, transforms and pieces are those of `axes`, in the folder above.  Channels are in the lanes throughout, so that lists say which pixels
a tile reads, whatever stride, dilation and padding, and vectors are full however narrow the image is.
Each sum is one chain over (sample, box, position), which neither tiles nor threads have a part in.  A NaN or an infinity spreads over all
taps.
"""
