-- name: account_status
-- The account's own row, and what waits for it.
select a.account, a.backend, a.server, a.login,
       case when a.halted then 'halted by ' || a.halted_by || ': ' || a.halt_reason end as halt, a.halted_at,
       a.lease_holder, a.lease_epoch,
       case when a.lease_holder is not null
            then extract(epoch from now() - a.lease_renewed_at)::float8 end as lease_age_seconds,
       a.worker_report,
       (select min(received_at) from ledger.executions e
        where e.account = a.account and is_open) as oldest_open_at,
       (select count(*) from ledger.outbox o where o.account = a.account) as outbox_size,
       (select extract(epoch from now() - min(created_at))::float8
        from ledger.outbox o where o.account = a.account) as outbox_age_seconds
from ledger.accounts a where a.account = %(account)s

-- name: executions_by_state
-- All there ever were.
select state, count(*) as count from ledger.executions where account = %(account)s group by state order by state

-- name: unresolved_lines
-- Those that need a person, the oldest first.
select execution_id, trade_id, symbol, detail, settled_at
from ledger.executions where account = %(account)s and is_unresolved order by received_at

-- name: dead_letters_by_reason
-- Those that wait for an operator: of this account, or taken in for it without an account of their own.
select reason, count(*) as count
from ledger.dead_letters
where coalesce(account, desk) = %(account)s and state in ('new', 'failed_again')
group by reason order by reason
