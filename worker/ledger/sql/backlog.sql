-- name: backlog
-- What an account has open: answered from the indexes of what is open, however much the ledger holds. Ages in seconds by
-- PostgreSQL's clock.
with open as (
    select state, count(*) as count, min(received_at) as oldest
    from ledger.executions where account = %(account)s and is_open group by state
), letters as (
    select reason, count(*) as count, min(taken_in_at) as oldest -- as `dead_letters_by_reason` counts them
    from ledger.dead_letters d
    where state in ('new', 'failed_again')
      and (account = %(account)s or (desk = %(account)s and not exists (
          select from ledger.accounts a where a.account = d.account)))
      and (state = 'new' or not exists (select from ledger.dead_letters f where f.follows = d.letter_id))
    group by reason
), mail as (
    select count(*) as count, min(created_at) as oldest from ledger.outbox where account = %(account)s
)
select (select coalesce(jsonb_object_agg(state, count), '{}') from open) as in_flight,
       (select greatest(coalesce(extract(epoch from now() - min(oldest)), 0), 0)::float8 from open) as oldest_open_seconds,
       (select count(*) from ledger.executions where account = %(account)s and is_unresolved) as unresolved,
       (select coalesce(jsonb_object_agg(reason, count), '{}') from letters) as dead_letters,
       (select greatest(coalesce(extract(epoch from now() - min(oldest)), 0), 0)::float8 from letters) as oldest_dead_letter_seconds,
       (select count from mail) as outbox_messages,
       (select greatest(coalesce(extract(epoch from now() - oldest), 0), 0)::float8 from mail) as outbox_age_seconds
