-- name: pending_outbox
-- The oldest messages of an account, and no more of them than fit the memory that is meant for them; `waiting` counts
-- those with them that do not fit, as far as the limit goes.
select id, kind, exchange, routing_key, properties, body, waiting
from (
    select o.*, sum(octet_length(body)) over (order by id) as bytes, row_number() over (order by id) as place,
           count(*) over () as waiting
    from (
        select * from ledger.outbox where account = %(account)s and id <> all(%(besides)s::bigint[])
        order by id limit %(limit)s
    ) o
) o
where bytes <= %(bytes)s or place = 1
order by id

-- name: open_executions
-- Executions that somebody has to drive, in the order in which they were written down.
select e.*,
       coalesce((select jsonb_agg(to_jsonb(d) order by d.time, d.deal_id)
                 from ledger.deals d where d.execution_id = e.execution_id), '[]') as deals
from ledger.executions e
where account = %(account)s and is_open
  and execution_id <> all(%(besides)s::uuid[])
order by received_at, token

-- name: unresolved_executions
-- Executions that wait for evidence or a person, however many have ended otherwise.
select e.*,
       coalesce((select jsonb_agg(to_jsonb(d) order by d.time, d.deal_id)
                 from ledger.deals d where d.execution_id = e.execution_id), '[]') as deals
from ledger.executions e
where account = %(account)s and is_unresolved
order by received_at, token

-- name: latest_attempt
-- The last write-ahead of a trade.
select * from ledger.attempts where execution_id = %(execution_id)s order by number desc limit 1

-- name: orders_since
-- What was written ahead lately, in its order: it counts for the limits on orders sent.
select a.written_at, coalesce(e.broker_symbol, e.symbol) as symbol, e.direction, e.units, a.number > 1 as is_retry
from ledger.attempts a join ledger.executions e using (execution_id)
where e.account = %(account)s and a.written_at > %(since)s
order by a.written_at

-- name: execution_by_token
-- Whose order this is.
select e.*,
       coalesce((select jsonb_agg(to_jsonb(d) order by d.time, d.deal_id)
                 from ledger.deals d where d.execution_id = e.execution_id), '[]') as deals
from ledger.executions e
where token = %(token)s

-- name: recorded_deals
-- Which of these broker deals the ledger has as the broker shows them; what an operator attests is not recorded yet.
-- Each is looked up by itself: planned while the table was small, the search would go through all of the account's.
select shown.deal_id
from unnest(%(ids)s::bigint[]) as shown (deal_id)
cross join lateral (
    select from ledger.deals d
    where d.account = %(account)s and d.deal_id = shown.deal_id and d.attested_by is null limit 1) recorded
