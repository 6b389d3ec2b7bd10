-- Makes a ledger grow by copies of the settled trades that are in it. Each copy is a trade of its own, with other ids,
-- tokens and tickets, at an earlier time, with all its rows and its own events in a chain that `audit verify` finds
-- whole. What a copy shares with its original: prices, and the times and numbers inside messages, requests and events.
create schema bench;

create table bench.executions as table ledger.executions;
create table bench.attempts as table ledger.attempts;
create table bench.deals as table ledger.deals;
create table bench.confirmations as table ledger.confirmations;
create table bench.audit_events as table ledger.audit_events;

-- An execution's id as it would have been made earlier: its first 48 bits are milliseconds, the others random.
create function bench.moved(id uuid, earlier interval) returns uuid language sql immutable parallel safe
    return (lpad(to_hex(
        ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint - (extract(epoch from earlier) * 1000)::bigint
    ), 12, '0') || substr(id::text, 15))::uuid;

-- The same name for the same copy in every table; at distance 0 stands the original itself.
create function bench.another(name text, distance bigint) returns text language sql immutable parallel safe
    return case when distance = 0 then name else md5(name || ':' || distance)::uuid::text end;

-- A text in which another name stands in place of one.
create function bench.renamed(body bytea, name text, another text) returns bytea language sql immutable parallel safe
    return convert_to(replace(convert_from(body, 'UTF8'), name, another), 'UTF8');

-- The originals come back last, as the youngest.
set session_replication_role = replica;
truncate ledger.executions, ledger.attempts, ledger.deals, ledger.confirmations, ledger.audit_events;
