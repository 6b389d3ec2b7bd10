-- What the dead-letter desk finds and groups its letters by. All of it is worked out from the letter itself, by the
-- database, so that letters which are older than these columns have it too, and no program can say something else.

-- The sentence about a failure without what differs from one letter to the next: quoted values, and words that hold a
-- digit (numbers, times, ids).
create function ledger.shape_of(detail text) returns text language sql immutable strict parallel safe as $$
    select btrim(regexp_replace(regexp_replace(regexp_replace(detail,
        '"(\\.|[^"\\])*"|(?<![[:alnum:]])''[^'']*''(?![[:alnum:]])', '*', 'g'),
        '[^[:space:]]*[0-9][^[:space:]]*', '*', 'g'),
        '[[:space:]]+', ' ', 'g'))
$$;

-- Twelve hexadecimal digits that letters share which failed for the same reason, in the same way, whatever their symbol.
create function ledger.fingerprint_of(reason text, exception text, detail text, symbol text) returns text
language sql immutable parallel safe
    return left(encode(sha256(convert_to(concat_ws(E'\n', reason, coalesce(exception, ''),
        ledger.shape_of(case when symbol <> '' then replace(detail, symbol, '*') else detail end)), 'UTF8')), 'hex'), 12);

-- The symbol that a message is about: what its body says, else its routing key, else null. Bodies longer than the
-- longest that the worker reads are not looked into.
create function ledger.symbol_of(body bytea, routing_key text) returns text
language plpgsql immutable parallel safe as $$
declare
    decision jsonb;
    said text;
begin
    begin
        if octet_length(body) <= 1024 * 1024 then
            decision := convert_from(body, 'UTF8')::jsonb -> 'decision';
        end if;
    exception when others then
        null; -- not JSON: that may be why it is here
    end;
    select trade ->> 'symbol' into said
    from unnest(array[decision -> 'approved_trade', decision -> 'rejected_trade']) with ordinality as t (trade, place)
    where jsonb_typeof(trade -> 'symbol') = 'string'
    order by place limit 1;
    return left(coalesce(said, (regexp_match(routing_key, '^approved\.[^.]+\.(.+)$'))[1]), 64);
end $$;

-- A body as a person searches it: its text, or, when it is no text, its bytes in PostgreSQL's escapes.
create function ledger.text_of(body bytea) returns text language plpgsql immutable parallel safe as $$
begin
    return convert_from(body, 'UTF8');
exception when others then
    return encode(body, 'escape');
end $$;

update ledger.dead_letters set failed_at = taken_in_at where failed_at is null;

alter table ledger.dead_letters
    alter column failed_at set not null,
    add column follows uuid, -- the letter whose replay failed with this one; null for a first failure
    add column imported_by text, -- whoever brought it here from another ledger; null for one that was taken in here
    add column symbol text generated always as (ledger.symbol_of(body, envelope ->> 'routing_key')) stored,
    add column exception text generated always as (headers ->> 'failure-exception') stored,
    add column fingerprint text generated always as
        (ledger.fingerprint_of(reason, headers ->> 'failure-exception', detail,
                               ledger.symbol_of(body, envelope ->> 'routing_key'))) stored;

update ledger.dead_letters d set follows = coalesce(
    (select r.letter_id from ledger.replays r
     where r.execution_id = d.execution_id and r.consumed_as in ('new', 'reopened', 'refused')
       and r.consumed_at <= d.failed_at and r.letter_id <> d.letter_id
     order by r.consumed_at desc limit 1),
    (select r.letter_id from ledger.replays r
     where r.replay_id::text = d.headers ->> 'replay-id' and r.letter_id <> d.letter_id));

create index dead_letters_by_time on ledger.dead_letters (failed_at, letter_id);
create index dead_letters_by_fingerprint on ledger.dead_letters (fingerprint);
create index dead_letters_by_predecessor on ledger.dead_letters (follows);

-- The letters that an operator's filter lets through; null, or an empty list, lets any through.
create function ledger.letters_that_fit(
    account text, symbol text, reasons text[], states text[], since timestamptz, until timestamptz, words text,
    fingerprint text
) returns setof ledger.dead_letters language sql stable as $$
    select * from ledger.dead_letters d
    where ($1 is null or d.account = $1)
      and ($2 is null or d.symbol = $2)
      and (coalesce(cardinality($3), 0) = 0 or d.reason = any($3))
      and (coalesce(cardinality($4), 0) = 0 or d.state = any($4))
      and ($5 is null or d.failed_at >= $5)
      and ($6 is null or d.failed_at < $6)
      and ($7 is null or strpos(lower(concat_ws(E'\n', d.detail, d.trade_id, d.exception, ledger.text_of(d.body))),
                                lower($7)) > 0)
      and ($8 is null or d.fingerprint = $8)
$$;

create function ledger.grant_rights_0005() returns void language plpgsql as $$
begin
    if exists (select from pg_roles where rolname = 'mt5_operator') then
        grant insert on ledger.dead_letters to mt5_operator; -- to import; what a letter says is never changed
    end if;
end $$;

select ledger.grant_rights_0005();
