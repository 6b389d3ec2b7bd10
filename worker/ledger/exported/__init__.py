"""The audit trail outside of the ledger: files of events, what they were made of, and whether they still hold."""
