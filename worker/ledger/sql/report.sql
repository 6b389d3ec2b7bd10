-- name: accounts_to_report
-- All accounts, and those that no worker ever had: a dead letter's sender may have been told about one. An index hop for
-- each.
with recursive named as (
    (select account from ledger.confirmations order by account limit 1)
    union all
    select (select c.account from ledger.confirmations c where c.account > n.account order by c.account limit 1)
    from named n where n.account is not null
)
select account from ledger.accounts
union
select account from named where account is not null
order by account

-- name: take_your_time
-- A report over years may; it holds no lock that anybody waits for.
select set_config('statement_timeout', '0', true)

-- name: report_figures
-- The outcomes of a window by day, by symbol, by both and as a whole. A trade belongs to the day, in UTC, of its first
-- confirmation; symbols beyond the most frequent ones are summed up under null.
with told as (
    select (first_told_at at time zone 'UTC')::date as day, *
    from ledger.outcomes
    where account = any(%(accounts)s) and first_told_at >= %(since)s and first_told_at < %(until)s
      and (%(symbol)s::text is null or symbol = %(symbol)s)
), frequent as materialized (
    select symbol as name from told group by symbol order by count(*) desc, symbol limit %(symbols)s
)
select grouping(day) = 0 as is_of_a_day, grouping(name) = 0 as is_of_a_symbol, day::text, name as symbol,
       count(*) as executions,
       count(*) filter (where status = 'filled') as filled,
       count(*) filter (where status = 'partially_filled') as partially_filled,
       count(*) filter (where status = 'rejected') as rejected,
       count(*) filter (where status = 'expired') as expired,
       count(*) filter (where status = 'cancelled') as cancelled,
       count(*) filter (where status = 'error') as error,
       count(*) filter (where status = 'unresolved') as unresolved,
       count(adverse_slippage_pips) filter (where is_filled) as measured,
       count(*) filter (where is_filled and slippage_exceeded) as exceeded,
       round(avg(adverse_slippage_pips) filter (where is_filled), 4) as mean,
       min(adverse_slippage_pips) filter (where is_filled) as best,
       max(adverse_slippage_pips) filter (where is_filled) as worst,
       percentile_disc(array[0.5, 0.9, 0.99]) within group (order by adverse_slippage_pips)
           filter (where is_filled) as percentiles,
       coalesce(sum(requested_lots), 0) as requested_lots,
       coalesce(sum(executed_lots), 0) as executed_lots,
       percentile_disc(array[0.5, 0.99]) within group (order by extract(epoch from filled_at - received_at)::numeric)
           filter (where is_filled) as seconds
from told left join frequent on name = symbol
group by grouping sets ((day, name), (day), (name), ())
order by is_of_a_day, is_of_a_symbol, day, name nulls last

-- name: report_reasons
-- Why trades of a window did not end filled, by day and symbol; the same days and symbols as above.
with told as (
    select (first_told_at at time zone 'UTC')::date as day, symbol, status, rejection_reason
    from ledger.outcomes
    where account = any(%(accounts)s) and first_told_at >= %(since)s and first_told_at < %(until)s
      and (%(symbol)s::text is null or symbol = %(symbol)s)
), frequent as materialized (
    select symbol as name from told group by symbol order by count(*) desc, symbol limit %(symbols)s
)
select day::text, name as symbol, status, rejection_reason as reason, count(*) as executions
from told left join frequent on name = symbol
where status not in ('filled', 'partially_filled')
group by day, name, status, reason
order by day, name nulls last, executions desc, status, reason

-- name: report_histogram
-- How many fills of a window had a slippage within each of `buckets` steps of equal width from `low` to `high`, in pips.
select least(width_bucket(adverse_slippage_pips, %(low)s::numeric, %(high)s::numeric, %(buckets)s), %(buckets)s)
           as bucket,
       count(*) as fills
from ledger.outcomes
where account = any(%(accounts)s) and first_told_at >= %(since)s and first_told_at < %(until)s
  and (%(symbol)s::text is null or symbol = %(symbol)s)
  and is_filled and adverse_slippage_pips is not null
group by bucket
order by bucket
