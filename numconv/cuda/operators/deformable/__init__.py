"""Deformable convolution, torchvision's meaning.

    columns[n, c, r, p] = mask[n, r, p] · x[n, c] between pixels, at p·stride − pad + r·dilation + offset[n, r, p]; zero outside
    y = weights · columns          the implicit GEMM, a kernel of 1
    for each chunk of samples: columns, product.  Back: columns anew, the product's two gradients, then the columns' gradient
    spread to a plane for each tap, summed in the order of the taps; and offsets, mask: a thread for each

plan.py the record and the chunks, samples.py reading between pixels, forward.py, backward.py
"""
