"""Depthwise convolution without a copy: the input is read where it lies, under masks at its border.  The rows `depthwise` (planes) and
`depthwise_last` (channels last: pixels).

    for some planes together                                         channels last: for each sample
        for each strip of outputs of a plane                         order: its place, its kind, which reads see the image
            for each of these planes, each column of vectors         channels last: each register of channels
                strip_tile, straight into the target                 simd.strip
            activation, in place

A strip is some vectors of outputs below each other (`cut`).  What kinds there are is in the plan; where one lies, whether it touches the
border and which of its reads and lanes see the image follows from its number (`order`).  It is the same for all planes, so small ones take
it in turn.  Each output is one chain of fused multiply-adds, in an order of taps that the cut alone has a part in.
"""
