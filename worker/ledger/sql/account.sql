-- name: open_account
-- The first worker or command that names an account makes its row. Looking first keeps it from waiting for whoever has
-- locked the row.
insert into ledger.accounts (account)
select %(account)s where not exists (select from ledger.accounts where account = %(account)s)
on conflict do nothing

-- name: lock_account
-- The first statement of every transaction that writes for an account.
select account, lease_epoch, lease_holder, lease_counter, halted, halt_reason, halted_by, halted_at, halt_holds,
       symbol_halts, audit_sequence, audit_hash, backend, server, login, system_identifier, timeline, storage
from ledger.accounts where account = %(account)s for update

-- name: allow_time
-- For a transaction with a huge body. A standby that takes over meanwhile finds it committed.
select set_config('statement_timeout', '60s', true)

-- name: move_audit_head
-- The last statement of such a transaction.
update ledger.accounts set audit_sequence = %(sequence)s, audit_hash = %(hash)s where account = %(account)s

-- name: move_audit_head_and_sign
-- The same for a batch: its signature tells, after a commit without an answer, whether it happened.
update ledger.accounts set audit_sequence = %(sequence)s, audit_hash = %(hash)s, last_batch = %(batch)s
where account = %(account)s

-- name: read_back_batch
-- An update rather than a select: it waits for whoever still commits, and its own commit proves that everything
-- before it has reached the synchronous standby too. A batch that is not committed by now never will be: whatever of it
-- is still on its way to PostgreSQL expects another signature.
update ledger.accounts
set last_batch = case when last_batch = %(batch)s then last_batch else gen_random_uuid() end
where account = %(account)s returning last_batch, lease_epoch

-- name: move_as_foreseen
-- The first statement of a transaction whose jobs have decided already: it moves the head, and fails unless the account
-- is as its worker left it, by everything that they decided by. Whoever else changes anything for an account appends to
-- its audit trail: then the head is another one. `namespace` is the one that new tokens are made of, null when the batch
-- makes none; `deals` are those that the batch brings, of which none may stand here on an operator's word.
select ledger.move_as_foreseen(
    %(account)s, %(epoch)s, %(holder)s, %(sequence)s, %(hash)s, %(batch)s, %(namespace)s, %(deals)s,
    %(next_sequence)s, %(next_hash)s, %(next_batch)s)

-- name: look_at_lease
-- Without a lock: a holder that hangs in a transaction must not keep the others from seeing that it does.
select lease_epoch, lease_holder, lease_counter from ledger.accounts where account = %(account)s

-- name: end_stuck_transactions
-- Writers of any account that wait for their client in the middle of a transaction: their process stands still, or the
-- wire to it leads nowhere. PostgreSQL's own limit (idle_in_transaction_session_timeout) does not see those that stand
-- between two statements of a pipeline. Those of users that this one may not signal are left alone.
select pg_terminate_backend(a.pid)
from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
where a.datname = current_database()
  and a.wait_event in ('ClientRead', 'ClientWrite') and a.state_change < clock_timestamp() - interval '4 s'
  and pg_has_role(a.usesysid, 'usage') and (not r.rolsuper or current_setting('is_superuser') = 'on')
  and exists (select from pg_locks l
              where l.pid = a.pid and l.relation = 'ledger.accounts'::regclass and l.database = a.datid
                and l.mode in ('RowShareLock', 'RowExclusiveLock'))

-- name: take_lease
-- A new epoch fences every earlier holder out.
update ledger.accounts
set lease_epoch = lease_epoch + 1, lease_holder = %(holder)s, lease_counter = lease_counter + 1,
    lease_renewed_at = now(), worker_report = '{}'
where account = %(account)s
returning lease_epoch, compared_until, newest_deal

-- name: renew_lease
-- A standby watches the counter, not the time: clocks of two machines are never compared.
update ledger.accounts
set lease_counter = lease_counter + 1, lease_renewed_at = now(), worker_report = %(report)s::jsonb,
    compared_until = greatest(compared_until, %(looked_until)s), newest_deal = %(newest_deal)s
where account = %(account)s and lease_epoch = %(epoch)s and lease_holder = %(holder)s
returning halted, halt_reason, halted_by, halted_at, halt_holds, symbol_halts

-- name: release_lease
-- The next worker need not wait for the lease to run out.
update ledger.accounts
set lease_holder = null, worker_report = '{}',
    compared_until = greatest(compared_until, %(looked_until)s), newest_deal = %(newest_deal)s
where account = %(account)s

-- name: bind_account
-- For ever: an account of the ledger is one login at one server.
update ledger.accounts set backend = %(backend)s, server = %(server)s, login = %(login)s where account = %(account)s

-- name: owner_of_login
-- Which account of the ledger already stands for this login.
select account from ledger.accounts where server = %(server)s and login = %(login)s

-- name: database_identity
-- Which copy of the database this is: a promoted one, or one restored to a point in time, has another timeline, one in
-- another cluster another system identifier, one that was dumped and loaded again has its database or tables elsewhere.
select (pg_control_system()).system_identifier::text as system_identifier,
       substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline,
       (select oid from pg_database where datname = current_database()) || '/' || 'ledger.accounts'::regclass::oid
           as storage

-- name: remember_database_identity
-- What the next connection is compared with.
update ledger.accounts
set system_identifier = %(system_identifier)s, timeline = %(timeline)s, storage = %(storage)s
where account = %(account)s

-- name: offer_namespace
-- When it is taken, or another account was faster, nothing happens and the caller looks again.
insert into ledger.namespaces (number, namespace, system_identifier, timeline, storage)
values (%(number)s, %(namespace)s, %(system_identifier)s, %(timeline)s, %(storage)s)
on conflict do nothing

-- name: all_namespaces
-- Every token namespace this ledger has used; the last one is in use.
select number, namespace, system_identifier, timeline, storage, created_at as begun_at
from ledger.namespaces order by number

-- name: known_since
-- When this copy of the ledger began to miss nothing of an account: when it was last found to be another copy than
-- before, or when the broker last showed orders of the account that it had never written down. An account of which the
-- broker shows none has lost none, whatever was found of another one: so only its own count.
select greatest(
    (select max(n.created_at)
     from ledger.namespaces n join ledger.namespaces before on before.number = n.number - 1
     where (n.system_identifier, n.timeline, n.storage)
           is distinct from (before.system_identifier, before.timeline, before.storage)),
    (select max(seen_at) from ledger.orphans where account = %(account)s)
) as since

-- name: all_accounts
-- For messages that name what there is.
select account from ledger.accounts order by account
