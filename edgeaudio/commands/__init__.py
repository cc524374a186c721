"""What the command line does, a command a module. The words and options are in cli.py."""
