-- name: list_executions
-- The newest first, each account's along its index of arrivals, or a few that are known by their ids.
select e.*
from ledger.accounts a
cross join lateral (
    select execution_id, trade_id, rpm_order_id, account, symbol, direction, units, state as status, version, reason,
           requested_lots, executed_lots, order_ticket::text as order_id, received_at, settled_at, token
    from ledger.executions e
    where e.account = a.account
      and (%(ids)s::uuid[] is null or execution_id = any(%(ids)s))
      and (%(since)s::timestamptz is null or received_at >= %(since)s)
      and (%(until)s::timestamptz is null or received_at < %(until)s)
      and (%(after_at)s::timestamptz is null or received_at <= %(after_at)s)
      and (%(after_at)s::timestamptz is null or (received_at, token) < (%(after_at)s, %(after_token)s::bigint))
      and (cardinality(%(states)s::text[]) = 0 or state = any(%(states)s))
      and (%(symbol)s::text is null or symbol = %(symbol)s)
      and (%(reason)s::text is null or reason = %(reason)s)
      and (%(text)s::text is null
           or strpos(lower(trade_id), lower(%(text)s)) > 0 or strpos(lower(rpm_order_id), lower(%(text)s)) > 0)
    order by received_at desc, token desc
    limit %(limit)s
) e
where %(account)s::text is null or a.account = %(account)s
order by e.received_at desc, e.token desc
limit %(limit)s

-- name: end_of_stretch
-- The arrival so many executions further back; null when there are not as many.
select max(received_at) as received_at from (
    select e.received_at
    from ledger.accounts a
    cross join lateral (
        select received_at from ledger.executions e
        where e.account = a.account
          and (%(since)s::timestamptz is null or received_at >= %(since)s)
          and (%(until)s::timestamptz is null or received_at < %(until)s)
        order by received_at desc limit %(stretch)s
    ) e
    where %(account)s::text is null or a.account = %(account)s
    order by e.received_at desc offset %(stretch)s - 1 limit 1
) e

-- name: place_of_execution
-- Where a list goes on behind it.
select received_at as after_at, token as after_token from ledger.executions where execution_id = %(execution_id)s

-- name: executions_of_trade
-- By the whole trade id, which is also RPM's order id where there is one.
select execution_id from ledger.executions
where trade_id = %(name)s and identity_kind in ('order_id', 'message_id', 'body')

-- name: executions_of_order
-- Whose order it is, of whichever attempt. Both tables are read through once: they are narrow, and one more index would
-- be written with every answer of the broker.
select execution_id from ledger.attempts where order_ticket = %(ticket)s
union
select execution_id from ledger.deals where order_id = %(ticket)s

-- name: executions_of_deal
-- Whose deal it is; brokers of different accounts may use the same number.
select d.execution_id from ledger.accounts a join ledger.deals d on d.account = a.account and d.deal_id = %(deal_id)s

-- name: executions_not_ended
-- In flight, or waiting for evidence or a person.
select e.execution_id from ledger.accounts a join ledger.executions e on e.account = a.account and e.is_open
where %(account)s::text is null or a.account = %(account)s
union all
select e.execution_id from ledger.accounts a join ledger.executions e on e.account = a.account and e.is_unresolved
where %(account)s::text is null or a.account = %(account)s

-- name: symbols_of_late
-- What has been traded, or refused, of the newest so many arrivals of an account.
select distinct symbol from (
    select symbol from ledger.executions where account = %(account)s order by received_at desc limit %(most)s
) recent
order by symbol
