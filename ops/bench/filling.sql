-- Makes a ledger grow by copies of the settled trades that are in it. Each copy is a trade of its own, with other ids,
-- tokens and tickets, at an earlier time, with all its rows and its own events in a chain that `audit verify` finds
-- whole. What a copy shares with its original: prices, and the times and numbers inside messages, requests and events.
create schema bench;

create table bench.executions as table ledger.executions;
create table bench.attempts as table ledger.attempts;
create table bench.deals as table ledger.deals;
create table bench.confirmations as table ledger.confirmations;
create table bench.audit_events as table ledger.audit_events;

-- One row: by how much a copy differs from the next younger one.
create table bench.step as
select (select last_value + 1 from ledger.trade_counter) * 64 as tokens, -- below the counter: 6 bits for the attempt
       (select count(*) from ledger.executions) as tickets,
       interval '0' as time;

-- The same id for the same copy in every table; at distance 0 stands the original itself.
create function bench.another(id text, distance bigint) returns text language sql immutable parallel safe
    return case when distance = 0 then id else md5(id || ':' || distance)::uuid::text end;

-- A text in which one name stands in place of another.
create function bench.renamed(body bytea, name text, distance bigint) returns text language sql immutable parallel safe
    return convert_to(replace(convert_from(body, 'UTF8'), name, bench.another(name, distance)), 'UTF8')::text;

-- A value as the chain's hashes cover it: preceded by its length in bytes; a missing one differs from an empty one.
create function bench.field(value text) returns text language sql immutable parallel safe
    return coalesce(octet_length(value) || ':' || value || ';', '-;');

-- The next hash of a chain: of an event's other columns and of the hash before it, at first `head`.
create function bench.link(before text, head text, columns text) returns text language plpgsql immutable as $$
begin
    return encode(sha256(convert_to(columns || bench.field(coalesce(before, head)), 'UTF8')), 'hex');
end $$;

create aggregate bench.chain (head text, columns text) (sfunc = bench.link, stype = text);

-- Writes one copy of all trades, `distance` steps before the originals; `age` counts the copies from the oldest, 1.
create function bench.copy_trades(distance bigint, age bigint) returns void language plpgsql as $$
declare
    earlier interval := distance * (select time from bench.step);
    tickets bigint := distance * (select s.tickets from bench.step s);
    tokens bigint := case when distance = 0 then 0 else age * (select s.tokens from bench.step s) end;
begin
    insert into ledger.executions
    select r.* from bench.executions o
    cross join lateral jsonb_populate_record(o, jsonb_build_object(
        'execution_id', bench.another(o.execution_id::text, distance),
        'trade_id', bench.another(o.trade_id, distance), 'rpm_order_id', bench.another(o.rpm_order_id, distance),
        'body', bench.renamed(o.body, o.trade_id, distance), 'token', o.token + tokens,
        'order_ticket', o.order_ticket - tickets, 'position_id', o.position_id - tickets,
        'approved_at', o.approved_at - earlier, 'received_at', o.received_at - earlier,
        'validated_at', o.validated_at - earlier, 'submitted_at', o.submitted_at - earlier,
        'accepted_at', o.accepted_at - earlier, 'filled_at', o.filled_at - earlier,
        'settled_at', o.settled_at - earlier)) r
    order by o.received_at;

    insert into ledger.attempts
    select r.* from bench.attempts o
    cross join lateral jsonb_populate_record(o, jsonb_build_object(
        'execution_id', bench.another(o.execution_id::text, distance), 'magic', o.magic + tokens,
        'order_ticket', o.order_ticket - tickets, 'written_at', o.written_at - earlier,
        'sent_at', o.sent_at - earlier, 'answered_at', o.answered_at - earlier)) r
    order by o.written_at;

    insert into ledger.deals
    select r.* from bench.deals o
    cross join lateral jsonb_populate_record(o, jsonb_build_object(
        'execution_id', bench.another(o.execution_id::text, distance), 'magic', o.magic + tokens,
        'deal_id', o.deal_id - tickets, 'order_id', o.order_id - tickets, 'position_id', o.position_id - tickets,
        'time', o.time - earlier)) r
    order by o.deal_id;

    insert into ledger.confirmations
    select r.* from bench.confirmations o
    cross join lateral jsonb_populate_record(o, jsonb_build_object(
        'execution_id', bench.another(o.execution_id::text, distance),
        'correlation_id', bench.another(o.correlation_id, distance),
        'message_id', bench.another(o.execution_id::text, distance) || ':' || o.version,
        'body', bench.renamed(o.body, o.execution_id::text, distance),
        'created_at', o.created_at - earlier, 'published_at', o.published_at - earlier)) r
    order by o.created_at;
end $$;

-- Writes the events of one copy at the end of the chain; those of no trade come with the originals only.
create function bench.copy_events(distance bigint) returns void language plpgsql as $$
declare
    earlier interval := distance * (select time from bench.step);
    head record;
begin
    select audit_sequence as sequence, audit_hash as hash into head from ledger.accounts;
    with events as (
        select account, head.sequence + row_number() over (order by sequence) as sequence,
               to_char((at::timestamptz - earlier) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as at,
               actor, kind, bench.another(execution_id, distance) as execution_id, payload
        from bench.audit_events where distance = 0 or execution_id is not null
    ), chained as (
        select *, bench.chain(head.hash,
                   bench.field(account) || bench.field(sequence::text) || bench.field(at) || bench.field(actor)
                   || bench.field(kind) || bench.field(execution_id) || bench.field(payload)
               ) over in_order as hash
        from events window in_order as (order by sequence)
    )
    insert into ledger.audit_events
    select account, sequence, at, actor, kind, execution_id, payload,
           lag(hash, 1, head.hash) over (order by sequence) as previous_hash, hash
    from chained order by sequence;

    update ledger.accounts a set audit_sequence = e.sequence, audit_hash = e.hash
    from (select sequence, hash from ledger.audit_events order by sequence desc limit 1) e;
end $$;

-- The originals come back last, as the youngest.
set session_replication_role = replica;
truncate ledger.executions, ledger.attempts, ledger.deals, ledger.confirmations, ledger.audit_events;
update ledger.accounts set audit_sequence = 0, audit_hash = repeat('0', 64);
