"""The CUDA device: its table of kernels, how they are launched, and nothing that `import numconv` would load."""
