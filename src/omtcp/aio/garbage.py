"""When Python's collector of cyclic garbage runs in a server of ours.

Connections come and go by the thousand and leave no cycles behind (a test sees to that), so nearly
all that the collector does is to look at living connections, over and over: a quarter of the time
of a short visit with its usual thresholds, and pauses of all transfers with many idle ones.
"""

import gc

YOUNG = 50_000
"""Objects more than before after which the youngest are looked at, instead of 700."""
OLDER = 20
OLDEST = 100
"""How many times more rarely the older ones are."""


def collect_rarely() -> None:
    """Called once all that lives as long as the process is made, which is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDEST)
