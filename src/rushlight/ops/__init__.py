"""L3: operations, one family a file: forward, vjp and jvp side by side. Importing a family attaches its Tensor methods."""
