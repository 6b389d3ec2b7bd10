"""The command line `mt5-worker`: one file a group of commands, which ask a part of the worker and show its answer."""
