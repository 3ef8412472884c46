"""The weight gradient with neighbouring positions in the lanes: w[k, c, r] = Σ_p y[k, p]·x[c, p + r].  The row `dot_rows`.

    where the last axis has a stride: rows of the input split into its phases, so that what a tap reads is contiguous
    for each task (group, range of blocks of filters, range of tiles of rows)
        for each sample, each chunk of vectors of positions (worked out anew only where a worker has no room for all)    positions
            for each block of filters, each tile of rows (channel, tap): dot_tile over the chunk's vectors          simd.dots
        the lanes of each sum added                                                                                lane_sums

No channel fills a lane, so a depthwise filter is served as well as eight channels.  Which lanes see the input is in masks, the same for
all planes: whole vectors share theirs, and so do vectors at the same column of rows that lie inside.  A sum of a lane is one chain of
fused multiply-adds in the order of (sample, position), which chunks, tasks and threads have no part in; the tile does, since its lanes
are added last.
"""
