"""What surrounds the worker: services, images, benchmark, runbooks."""
