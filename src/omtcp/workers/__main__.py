"""A worker, as the supervisor starts it: the descriptor of its channel is the argument."""

import sys

from omtcp.workers.worker import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
