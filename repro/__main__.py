"""The command line: python -m repro --help."""

from repro import endings


def main() -> None:
    """Runs a subcommand; what ends it early is one line on stderr and an exit code."""
    with endings.in_one_line():
        from repro import commands  # inside, so that Ctrl-C during the imports is one line too

        commands.run_one()


if __name__ == "__main__":
    main()
