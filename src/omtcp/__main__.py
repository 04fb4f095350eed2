"""`python -m omtcp`."""

from omtcp.cli.main import main

if __name__ == "__main__":
    main()
