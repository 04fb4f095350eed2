"""Naive models that several tests hold the real thing against."""


def runs(members: set[int]) -> list[tuple[int, int]]:
    """The maximal runs of consecutive integers."""
    found: list[tuple[int, int]] = []
    for member in sorted(members):
        if found and found[-1][1] == member:
            found[-1] = (found[-1][0], member + 1)
        else:
            found.append((member, member + 1))
    return found
