"""Backups of the ledger: a dump that is consistent, and a restore that proves itself."""
