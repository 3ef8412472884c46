"""By `mma.sync`: Y[m, o] = Σ_k X[m, k] · W[o, k], k over (tap, chunk of 16 bytes of source channels).

the image channels last in chunks (`stages/chunks`), weights packed as (group, target, tap, chunk)
for steps of k:                        several stages of shared memory ahead, by cp.async
    tiles of X and W → shared memory
    fragments → registers, sums += their products     (`stages/fragments`)
y = activation(sums + bias), through shared memory; or, with split-K, a part of them into the workspace
"""
