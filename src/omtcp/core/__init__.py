"""The sans-I/O protocol core: segments and the time go in, segments and deadlines come out."""
