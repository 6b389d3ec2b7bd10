"""The benchmark: the real worker process on real services, driven from outside like any RPM would."""
