"""``python -m udpstream``: the same as the console script."""

from udpstream.cli import main

if __name__ == "__main__":
    main()
