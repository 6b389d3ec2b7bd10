"""What monitoring systems can ask of a worker: health, and metrics for Prometheus, named `mt5_worker_...`."""
