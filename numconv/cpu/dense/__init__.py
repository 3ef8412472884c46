"""Dense convolution, forward and input gradient: y[n, k, p] = Σ w[k, c, r]·x[n, c, p·stride − low + r·dilation] in two lane orders.

    positions   neighbouring targets in the lanes of a register, one weight spread over them: long rows     direct, gather
    channels    output channels in the lanes, one sample spread over them: narrow images, strides, channels last    spread

Both: plan (records, choice), cost, kernel.  One way in: rows (what the table sees; packing, running), plan (what an order hands to it),
tasks (what a task's number stands for).
"""
