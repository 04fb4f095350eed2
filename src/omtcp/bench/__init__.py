"""The bench: how fast the product is, beside what others have, measured in turn on one machine.

`run(names, settings)` makes network namespaces, lets each stack serve in them in turn, round after
round, and returns figures with their spread. Needs root. It measures real time, so nothing here is
ever a test's verdict; a history of runs shows what became of a ratio.
"""
