"""Depthwise and separable convolution: a channel of the result comes of one channel of the image, so that memory decides, not arithmetic.

y[n, c, q] = Σ_{kt, kh, kw} x[n, c / multiplier, q · stride + k · dilation − pad] · w[c, kt, kh, kw]

    halo/     for each block: (sample, channels, plane, rows × columns of the result)
                  for each plane of the image that its taps reach
                      the tile with its halo, and the taps, into shared memory; by separable filters a column pass over it
                      for each tap: a thread's rows of four neighbours += tile · tap, in registers
                  bias, activation, store
    strips/   where no tile fits shared memory: a thread for a few rows of one column, reading memory itself
    rows      what the table sees: `depthwise` forward, its input gradient at stride 1 (taps reversed), and `one_pass` for separable filters
"""
