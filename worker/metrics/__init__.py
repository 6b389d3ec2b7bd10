"""Metrics for Prometheus: the only part that knows its library. Everything is named `mt5_worker_...`."""
