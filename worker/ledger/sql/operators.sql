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
