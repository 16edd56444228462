"""The kernels, one module a level; csmooth._dispatch chooses among them."""
