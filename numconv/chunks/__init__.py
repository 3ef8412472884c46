"""Arrays that are given chunk by chunk: dask's, and those of `out_of_core`.  A third device, whose results are graphs of tasks.

array     the lazy array: a graph, and where its chunks end
cuts      which samples of the source an interval of the target needs, along one axis
problems  a problem on such arrays as problems of its chunks
tasks     what a worker runs
device    all of it as `devices.Device`
outofcore the same graphs, run tile by tile with a memory limit and a journal
"""
