"""Convolution with output positions in the lanes: terms are offsets into a copy of the input.  The rows `direct` and `gather`.

    once a worker: the offsets of all terms, of each kind of jobs                                        terms
    for each task (sample, group, box of positions, range of output channels)
        for each chunk of input channels (one, unless the second cache is too small)
            copy the box's source into a zero-padded polyphase buffer                            stages.fill
            for each job (one; of an input gradient one a stride phase), block of output channels
                weights given plain and used by this task only: pack the block's                 stages.pack
                for each pass (so many terms as stay in the first cache), each panel of positions: gemm_tile
                after the last terms: bias, activation, store the rows                           stages.epilogue

Any rank, stride, dilation, grouping and direction (geometry.jobs).  Long rows at stride 1 fill every lane and are read once for many output
channels; `channels` has those in the lanes.  Each output is one chain of fused multiply-adds over (channel, tap) in a fixed order, so its
bits depend on neither tiles, boxes nor threads.
"""
