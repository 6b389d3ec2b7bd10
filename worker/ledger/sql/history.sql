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

-- name: events_meanwhile
-- What happened to the account itself between two events of a trade, or since the first while it has not ended.
select * from ledger.audit_events
where account = %(account)s and execution_id is null and sequence > %(first)s
  and (%(last)s::bigint is null or sequence < %(last)s)
  and kind in ('halting', 'halted', 'resumed', 'lease_taken', 'lease_released', 'database_recognised', 'alert')
order by sequence limit %(limit)s

-- name: account_of_execution
-- Who leads its account now, and what the worker says.
select lease_holder,
       case when lease_holder is not null
            then extract(epoch from clock_timestamp() - lease_renewed_at)::float8 end as lease_age_seconds,
       worker_report
from ledger.accounts where account = %(account)s

-- name: refusal_of_execution
-- A message that got an execution id for its confirmation, and never became a trade.
select r.reason, r.detail, (select letter_id from ledger.dead_letters d
                            where d.execution_id = r.execution_id order by taken_in_at desc limit 1) as letter_id
from ledger.refusals r where r.execution_id = %(execution_id)s

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
