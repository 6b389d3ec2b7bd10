"""What the worker is compared with: programs that take messages through the same durable steps and do nothing else."""
