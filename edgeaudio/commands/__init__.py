"""The commands, each in NAME.py with its options in NAME_parser.py, which imports the command only when it runs."""
