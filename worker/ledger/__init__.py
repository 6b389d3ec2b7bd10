"""The ledger in PostgreSQL: the truth about every trade, and the only part that speaks SQL."""
