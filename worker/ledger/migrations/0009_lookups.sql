-- A trade's story tells what happened to its account meanwhile: events that belong to no trade, which are few among the
-- many that do. No trade's own event is in this index.
create index audit_events_of_account on ledger.audit_events (account, sequence) where execution_id is null;
