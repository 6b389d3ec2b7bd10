-- name: republish_confirmations
-- The next chunk of an account's confirmations in the order in which they were made; returns where it ended.
with chunk as (
    select * from ledger.confirmations
    where account = %(account)s and created_at < %(until)s
      and (%(execution_id)s::uuid is null and created_at >= %(created_at)s
           or (created_at, execution_id, version) > (%(created_at)s, %(execution_id)s::uuid, %(version)s))
    order by created_at, execution_id, version
    limit %(limit)s
), queued as (
    insert into ledger.outbox (account, kind, exchange, routing_key, properties, body, execution_id, version, created_at)
    select account, 'confirmation', 'executions', routing_key,
           jsonb_build_object('message_id', message_id, 'correlation_id', correlation_id, 'reply_to', null,
                              'type', 'ExecutionConfirmation', 'content_type', 'application/json',
                              'headers', '{}'::jsonb),
           body, execution_id, version, %(now)s
    from chunk
    order by created_at, execution_id, version
)
select created_at, execution_id, version, (select count(*) from chunk) as count
from chunk order by created_at desc, execution_id desc, version desc limit 1

-- name: count_confirmations
-- How many a republication of this window would queue.
select count(*) as count from ledger.confirmations
where account = %(account)s and created_at >= %(since)s and created_at < %(until)s

-- name: letter_to_decide
-- A dead letter, and the trade it belongs to as far as the ledger knows it.
select d.letter_id, d.desk, d.account, d.state, d.state_by, d.body, d.envelope, d.execution_id,
       e.execution_id as trade_execution_id, e.state as trade_state, e.approved_at as trade_approved_at
from ledger.dead_letters d
left join lateral (
    select execution_id, state, approved_at from ledger.executions
    where execution_id = d.execution_id
       or (trade_id = d.trade_id and identity_kind in ('order_id', 'message_id', 'body'))
    order by execution_id = d.execution_id desc nulls last
    limit 1
) e on true
where d.letter_id = %(letter_id)s

-- name: owners_of_deals
-- Whose deals these are.
select d.deal_id, d.execution_id, e.trade_id
from ledger.deals d join ledger.executions e using (execution_id)
where d.account = %(account)s and d.deal_id = any(%(ids)s)
order by d.deal_id

-- name: resolve_letters_of_execution
-- An operator has said what became of the trade: nothing is left to be done about them.
update ledger.dead_letters
set state = 'resolved', state_by = %(by)s, state_reason = %(reason)s, state_at = %(at)s
where execution_id = %(execution_id)s and state in ('new', 'failed_again')

-- name: set_letter_state
-- By an operator; the worker closes a replay by itself.
update ledger.dead_letters
set state = %(state)s, state_by = %(by)s, state_reason = %(reason)s, state_at = %(at)s
where letter_id = %(letter_id)s

-- name: list_executions
-- The newest first.
select execution_id, trade_id, account, symbol, direction, units, state as status, version, reason,
       requested_lots, executed_lots, received_at, settled_at
from ledger.executions
where (%(account)s::text is null or account = %(account)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(symbol)s::text is null or symbol = %(symbol)s)
  and (%(since)s::timestamptz is null or received_at >= %(since)s)
  and (%(until)s::timestamptz is null or received_at < %(until)s)
order by received_at desc, token desc
limit %(limit)s

-- name: executions_by_name
-- By either id; a trade id may belong to trades of different kinds.
select e.*,
       coalesce((select jsonb_agg(to_jsonb(d) order by d.time, d.deal_id)
                 from ledger.deals d where d.execution_id = e.execution_id), '[]') as deals
from ledger.executions e
where execution_id = %(execution_id)s
   or (trade_id = %(trade_id)s and identity_kind in ('order_id', 'message_id', 'body'))
order by received_at

-- name: attempts_of_execution
-- In order.
select * from ledger.attempts where execution_id = %(execution_id)s order by number

-- name: events_of_execution
-- In the order of the chain.
select * from ledger.audit_events where execution_id = %(id)s order by account, sequence

-- name: confirmations_of_execution
-- Every version.
select version, status, final, routing_key, correlation_id, message_id, body, created_at, published_at
from ledger.confirmations where execution_id = %(execution_id)s order by version

-- name: letters_of_execution
-- Dead letters that name this execution or its trade.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at
from ledger.dead_letters
where execution_id = %(execution_id)s or trade_id = %(trade_id)s
order by taken_in_at

-- name: replays_of_execution
-- Replays that became, reopened or repeated this execution.
select replay_id, letter_id, by, reason, allow_stale, created_at, consumed_at, consumed_as
from ledger.replays where execution_id = %(execution_id)s order by created_at

-- name: list_dead_letters
-- The newest first.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at
from ledger.dead_letters
where (%(account)s::text is null or account = %(account)s)
  and (%(reason)s::text is null or reason = %(reason)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(since)s::timestamptz is null or taken_in_at >= %(since)s)
  and (%(until)s::timestamptz is null or taken_in_at < %(until)s)
order by taken_in_at desc, letter_id
limit %(limit)s

-- name: dead_letter
-- All of one.
select letter_id as id, reason, detail, state, account, trade_id, execution_id, source_queue, failed_at, taken_in_at,
       state_by, state_reason, state_at, body, envelope, headers
from ledger.dead_letters where letter_id = %(letter_id)s

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
