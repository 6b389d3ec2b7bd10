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
