-- What became of each trade, as subscribers were told last: the figures that reports are made of. Also for whoever looks
-- at the ledger with tools of his own; every role that may read the tables may read it.
create view ledger.outcomes as
select f.account, f.execution_id, f.created_at as first_told_at, coalesce(f.symbol, '_') as symbol,
       c.version, c.status, c.status in ('filled', 'partially_filled') as is_filled, told.*
from ledger.confirmations f
cross join lateral (
    select version, status, body from ledger.confirmations c
    where c.execution_id = f.execution_id order by version desc limit 1
) c
cross join lateral jsonb_to_record(convert_from(c.body, 'UTF8')::jsonb) as told (
    rejection_reason text,
    adverse_slippage_pips numeric,
    slippage_exceeded boolean,
    requested_lots numeric,
    executed_lots numeric,
    received_at timestamptz,
    filled_at timestamptz)
where f.version = 1;
