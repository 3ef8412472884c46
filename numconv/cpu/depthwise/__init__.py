"""Depthwise convolution without a copy: the input is read where it lies, under masks at its border.  The rows `depthwise` (planes) and
`depthwise_last` (channels last: pixels).

    for each strip of outputs of each plane, of each sample          channels last: of each sample
        for each column of vectors side by side                      channels last: each register of channels
            strip_tile, straight into the target                     simd.strip
        activation, in place

A strip is some vectors of outputs below each other (`cut`).  Where it reads, and under which masks (`masks`), is the same for all planes:
`plan` makes the tables once.  Each output is one chain of fused multiply-adds, in an order of taps that the cut alone has a part in.
"""
