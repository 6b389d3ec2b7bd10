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

-- name: set_letter_state
-- By an operator; the worker closes a replay by itself.
update ledger.dead_letters
set state = %(state)s, state_by = %(by)s, state_reason = %(reason)s, state_at = %(at)s
where letter_id = %(letter_id)s
