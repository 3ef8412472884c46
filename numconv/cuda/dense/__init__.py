"""Dense convolution, any groups, strides, dilations, one to three axes, both layouts; forward and back to the input.

    y[n, o, j] = activation(Σ_k x[n, first_read(j) + term[k].source] · w[o, term[k].weight] + bias[o])

k runs over the terms (source channel, tap) of the table that `geometry/convolution` makes, in ascending order; each result has one writer.

cuda_cores     a product in tiles, sums in registers: `stages/implicit_gemm`
tensor_cores   the same by `mma.sync`: half types, and float32 rounded to tf32 where asked for
direct         one thread a result: right for everything, chosen where little is to be done
"""
