"""The benchmark suite: `python -m benchmarks`, or `make bench`. Each library runs in processes of its own."""
