"""Convolution with output channels in the lanes: every input value is spread over a register of filters (simd.spread).  The row `spread`.

    for each task (sample, group, box of positions, range of output channels)
        where the last axis is padded: copy the rows that the box reads, zeros at their ends     stages.copy
        for each block of channels
            weights given plain and used by this task only: pack the block's                     stages.filters
            for each job (one; of an input gradient one a stride phase), as `terms` works it out
                for each row of the box, each tile of positions: spread_tile over the taps that see the input
                bias, activation; squares transposed into rows of the target                     store

Channels last need no squares: a tile's sums are pixels of the target (stages.deliver).  `positions` has positions in the lanes.  Here rows
of 7 or 13 leave no lane idle, strides cost nothing, taps that see only padding above, below, before or behind the image are left out row by
row, and an input without padding on its last axis is read where it stands.  Each output is one chain of fused multiply-adds over (outer
taps, channel, inner taps), dilated rows' over (taps, channel), in an order that nothing else has a part in.
"""
