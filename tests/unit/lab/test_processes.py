"""What children of the lab tell it arrives."""

import signal
import subprocess
import sys

CHILD = """
import signal, sys
from omtcp.lab.processes import say, say_last
signal.signal(signal.SIGINT, lambda *_: None)
say("ready")
sys.stdin.readline()
say_last("x" * 400_000)
"""


def test_a_long_last_word_survives_signals() -> None:
    """Of a result of more than 128 KiB the rest was missing if SIGINT came in between."""
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            child.stdin.write(b"go\n")
            child.stdin.flush()
            heard = child.stdout.read(100)  # it is writing
            for _ in range(10):
                child.send_signal(signal.SIGINT)
                heard += child.stdout.read(10_000)
            heard += child.stdout.read()
            assert heard == b"x" * 400_000 + b"\n"
            assert child.wait() == 0
