"""The local target: the same YAML as processes on this machine. Commands use `target`; `supervisor` does the work."""
