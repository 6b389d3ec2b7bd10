"""Running the worker on Windows: the scripts of the host, and the supervisor that stands between task and worker."""
