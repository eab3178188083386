"""The command line: parse, call the driver, print."""
