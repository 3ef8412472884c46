"""The gradient of the weights: a convolution whose terms are positions, many of them, and whose results are the weights, few.

dw[o, c, r] = Σ_{n, p} dy[n, o, p] · x[n, c, p · stride − pad_low + r · dilation]

    for each part of the positions, of all samples        parts.py: of fixed length, for the same bits on every card
        for each block of results
            for each step of positions
                sums += dy · x, where the tap falls inside the image
            the block's sums into the part's weights
    for each weight: the parts added, in ascending order   parts.py

    cuda_cores/    results (output channel) × (channel, tap), sums in registers
    tensor_cores/  results (tap, channel) × (output channel), operands channels last in chunks of 16 bytes, by `mma`
    depthwise/     a block for a channel and nine taps, its threads added by a tree
"""
