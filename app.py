"""The playground, run from its folder; installed, it is ``decoding-playground run``."""

from playground.cli.run import main

if __name__ == "__main__":
    main()
