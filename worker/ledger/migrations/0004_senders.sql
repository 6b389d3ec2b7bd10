-- The terminal that each attempt was written ahead for: only that one can tell, by its restart, that it does not hold
-- the request any more. Null in rows that are older than this column: those stay undecided until they are found.
alter table ledger.attempts add column sender text;
