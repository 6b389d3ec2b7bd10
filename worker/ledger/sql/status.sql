-- name: account_status
-- The account's own row, and what waits for it. Standbys hold a connection for the lease, and so does its holder.
select a.account, a.backend, a.server, a.login, clock_timestamp() as at,
       a.halted, a.halt_reason, a.halted_by, a.halted_at, a.halt_holds, a.symbol_halts,
       a.lease_holder, a.lease_epoch,
       case when a.lease_holder is not null
            then extract(epoch from clock_timestamp() - a.lease_renewed_at)::float8 end as lease_age_seconds,
       (select greatest(count(*) - (a.lease_holder is not null)::int, 0) from pg_stat_activity s
        where s.datname = current_database()
          and s.application_name = left('mt5-worker lease ' || a.account, 63)) as standbys,
       a.worker_report,
       (select min(received_at) from ledger.executions e
        where e.account = a.account and is_open) as oldest_open_at,
       (select count(*) from ledger.outbox o where o.account = a.account) as outbox_size,
       (select extract(epoch from clock_timestamp() - min(created_at))::float8
        from ledger.outbox o where o.account = a.account) as outbox_age_seconds
from ledger.accounts a where a.account = %(account)s

-- name: executions_by_state
-- The open ones of any age, and the others of those that arrived in the last 24 hours, of which no more are counted than
-- this takes time: the answer comes as quickly after years.
select state, count(*) as count
from (
    select state from ledger.executions where account = %(account)s and is_open
    union all
    (select state from (
        select state, is_open from ledger.executions
        where account = %(account)s and received_at >= now() - interval '24 hours'
        order by received_at desc limit %(most)s
    ) recent where not is_open)
) counted
group by state order by state

-- name: unresolved_lines
-- Those that need a person, the oldest first.
select execution_id, trade_id, symbol, detail, settled_at
from ledger.executions where account = %(account)s and is_unresolved order by received_at

-- name: dead_letters_by_reason
-- Those that wait for an operator: of this account, or taken in by it and of none that has a worker of its own, which
-- would tell of them. One that has failed again is told of by the letter that it has become.
select reason, count(*) as count
from ledger.dead_letters d
where state in ('new', 'failed_again')
  and (account = %(account)s or (desk = %(account)s and not exists (
      select from ledger.accounts a where a.account = d.account)))
  and (state = 'new' or not exists (select from ledger.dead_letters f where f.follows = d.letter_id))
group by reason order by reason
