"""Sums over neighbours of one channel: filters of signals, images and volumes.  The row `filters`.

    for each task: a band of rows of one plane, or a chunk of a long row
        for each block of its columns
            the source where it lies, if all that the block reads lies in it;
                else a copy in the type of the sums, with what stands beyond the edges        _copy_box
            for each tile: rows × vectors of targets in registers                             simd.neighbours
                one sum, or of two the first (along the columns) into scratch, in the type of the sums
            of two: the second, along the rows of that scratch
            each result rounded to the target's type and stored

Edges are a table of samples for each axis, which the copy alone reads: no tile knows of them.  The scratch between two sums is a
block's, in the first cache or the second; there is no array between them.

Sums in float32 are fused multiply-adds.  Those in float64 are made in the order of SciPy's loops, a product and a sum at a time, so
that they have SciPy's bits, and integers by weights that are none its roundings.
"""
