"""The weight gradient as a sum of outer products over positions: w[k, c, r] = Σ_{n, p} y[n, k, p]·x[n, c, p·stride − pad + r·dilation].
The row `outer_product`.

    for each task (group, range of blocks of output channels, range of input channels)
        for each sample, each chunk of positions
            copy the rows that the chunk reads, zeros at their ends, or read the input where it stands         stages.copy
            for each block of output channels
                the chunk's gradient, transposed in squares: (position, channel of the block)
                for each tap of the outer axes, each register tile of (channel, tap of the last axis)
                    spread_tile over the positions whose input lies in the image                              simd.spread
        squares of the sums transposed into the weights

The lanes are output channels; an input value is spread over them, whatever stride and dilation.  Read in place from an image padded on
the last axis, that axis' taps are outer ones too, and each row is summed for itself.  Each sum is one chain of fused multiply-adds in the
order of (n, p), which neither chunks, tiles nor threads have a part in.
"""
