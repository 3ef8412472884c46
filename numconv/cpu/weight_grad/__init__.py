"""The weight gradient: w[k, c, r] = Σ_{n, p} y[n, k, p]·x[n, c, p·stride − pad + r·dilation].

    rows     the rows, and how they are run
    outer    `outer_product`: output channels in the lanes, input values spread over them
    dots     `dot_rows`: neighbouring positions in the lanes, for depthwise convolutions and few channels

With fewer multiplications: the row `winograd_weights`, of the folder winograd.
"""
