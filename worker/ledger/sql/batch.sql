-- name: take_trade_counters
-- One number for each arrival; those of known trades are skipped for ever, which costs nothing. And the namespaces that
-- tokens are made of, of which the last one is in use.
select array(select nextval('ledger.trade_counter') from generate_series(1, %(count)s)) as counters,
       array(select namespace from ledger.namespaces order by number) as namespaces

-- name: find_trades
-- Known executions of arriving trades, by identity or (without an order id) by body, with the latest confirmation. Each is
-- looked up by itself (`limit`): planned while the table was small, a join would go through all of it ever after.
with asked as (
    select * from json_to_recordset(%(rows)s::json)
        as a (identity_kind text, trade_id text, account text, body_digest text)
), found as (
    select e.execution_id from asked a cross join lateral (
        select execution_id from ledger.executions e
        where e.identity_kind = a.identity_kind and e.trade_id = a.trade_id limit 1) e
    union
    select e.execution_id from asked a cross join lateral (
        select execution_id from ledger.executions e
        where e.account = a.account and e.body_digest = a.body_digest and e.rpm_order_id is null limit 1) e
)
select e.*, c.routing_key, c.correlation_id, c.body as confirmation_body,
       coalesce((select jsonb_agg(to_jsonb(d) order by d.time, d.deal_id)
                 from ledger.deals d where d.execution_id = e.execution_id), '[]') as deals
from found join ledger.executions e using (execution_id)
left join ledger.confirmations c on c.execution_id = e.execution_id and c.version = e.version

-- name: find_revisions
-- Where the executions stand that are to move on, and whether replays became or reopened them.
select e.execution_id, e.revision,
       (select count(*) from ledger.replays r where r.execution_id = e.execution_id) > 0 as is_replayed
from ledger.executions e where e.execution_id = any(%(ids)s)

-- name: find_reply_addresses
-- Who wants copies of their confirmations.
select execution_id, reply_to, correlation_id from ledger.reply_addresses where execution_id = any(%(ids)s)

-- name: find_replays
-- Permissions that messages claim. Locked until they are used: the message of one may come to its own account and, from
-- a dead-letter queue, to another account's worker at the same moment.
select r.replay_id, r.letter_id, r.account, r.allow_stale, sha256(d.body) as body_sha256,
       r.consumed_at is null and r.superseded_at is null as is_standing
from ledger.replays r join ledger.dead_letters d using (letter_id)
where r.replay_id = any(%(ids)s)
order by r.replay_id
for update of r

-- name: find_refusals
-- Redelivered messages that were refused at their first delivery. Each is looked up by itself, as above.
select asked.content_digest
from unnest(%(digests)s::text[]) as asked (content_digest)
cross join lateral (
    select from ledger.refusals r
    where r.account = %(account)s and r.content_digest = asked.content_digest limit 1) refused

-- name: find_letters
-- Whether a dead letter is stored already (a redelivery without an id is known by its content), whether the ledger knows
-- the trade of its message (by the execution or trade the letter names, else by the message's own id), and which letter
-- it follows: the one whose replay became or reopened its execution last, else the one whose replay its message claims.
select a.letter_id,
       exists (select from ledger.dead_letters d
               where d.letter_id = a.letter_id
                  or (d.content_digest = a.content_digest and a.content_digest <> '')) as is_here,
       coalesce(
           (select e.execution_id from ledger.executions e where e.execution_id = a.execution_id),
           (select e.execution_id from ledger.executions e
            where e.trade_id = a.trade_id and e.identity_kind in ('order_id', 'message_id', 'body') limit 1),
           (select e.execution_id from ledger.executions e
            where e.trade_id = a.message_id and e.identity_kind = 'message_id')
       ) as execution_id,
       coalesce(
           (select r.letter_id from ledger.replays r
            where r.execution_id = a.execution_id and r.consumed_as in ('new', 'reopened', 'refused')
            order by r.consumed_at desc limit 1),
           (select r.letter_id from ledger.replays r where r.replay_id = a.replay_id)
       ) as follows
from json_to_recordset(%(rows)s::json) as a (
    letter_id uuid, content_digest text, account text, execution_id uuid, trade_id text, message_id text, replay_id uuid)

-- name: find_strangers
-- Which of these tokens at the broker no attempt was written down for, by any account, and no report has named before.
select magic from unnest(%(magics)s::bigint[]) as seen (magic)
where not exists (select from ledger.attempts a where a.magic = seen.magic)
  and not exists (select from ledger.orphans o where o.account = %(account)s and o.magic = seen.magic)

-- name: find_attested_deals
-- Which of these deals the broker shows now stand in the ledger on an operator's word, and for which trade. Each is looked
-- up by itself, as above.
select d.deal_id, d.execution_id, e.trade_id
from unnest(%(ids)s::bigint[]) as shown (deal_id)
cross join lateral (
    select d.deal_id, d.execution_id from ledger.deals d
    where d.account = %(account)s and d.deal_id = shown.deal_id and d.attested_by is not null limit 1) d
join ledger.executions e using (execution_id)

-- name: insert_executions
-- New trades, in an order that two workers cannot lock each other out with.
insert into ledger.executions (
    execution_id, account, identity_kind, trade_id, rpm_order_id, body_digest, symbol, direction, units, intended_price,
    approved_at, rpm_rejection, rpm_halt, envelope, token, received_at, state, is_open, is_unresolved, revision, version,
    attempts, sends, round_start, stale_allowed, venue, broker_symbol, contract_size, pip_size, max_slippage_pips,
    requested_lots, executed_lots, first_touch, validated_at, submitted_at, accepted_at, cancelled_at, cancel_asked_at,
    filled_at, settled_at, order_ticket, position_id, reason, detail, body)
select
    execution_id, account, identity_kind, trade_id, rpm_order_id, body_digest, symbol, direction, units, intended_price,
    approved_at, rpm_rejection, rpm_halt, envelope, token, received_at, state, is_open, is_unresolved, revision, version,
    attempts, sends, round_start, stale_allowed, venue, broker_symbol, contract_size, pip_size, max_slippage_pips,
    requested_lots, executed_lots, first_touch, validated_at, submitted_at, accepted_at, cancelled_at, cancel_asked_at,
    filled_at, settled_at, order_ticket, position_id, reason, detail,
    (%(bodies)b::bytea[])[ordinality]
from json_populate_recordset(null::ledger.executions, %(rows)s::json) with ordinality
order by identity_kind, trade_id

-- name: update_executions
-- The next revision of known trades; what the trade itself says never changes.
update ledger.executions e
set state = n.state, is_open = n.is_open, is_unresolved = n.is_unresolved, revision = n.revision, version = n.version, attempts = n.attempts, sends = n.sends,
    round_start = n.round_start, stale_allowed = n.stale_allowed, venue = n.venue, broker_symbol = n.broker_symbol,
    contract_size = n.contract_size, pip_size = n.pip_size, max_slippage_pips = n.max_slippage_pips,
    requested_lots = n.requested_lots, executed_lots = n.executed_lots, first_touch = n.first_touch,
    validated_at = n.validated_at, submitted_at = n.submitted_at, accepted_at = n.accepted_at,
    cancelled_at = n.cancelled_at, cancel_asked_at = n.cancel_asked_at, filled_at = n.filled_at, settled_at = n.settled_at, order_ticket = n.order_ticket,
    position_id = n.position_id, reason = n.reason, detail = n.detail
from json_populate_recordset(null::ledger.executions, %(rows)s::json) n
where e.execution_id = n.execution_id

-- name: upsert_attempts
-- Written ahead of the send, completed by its outcome.
insert into ledger.attempts as a
select * from json_populate_recordset(null::ledger.attempts, %(rows)s::json)
on conflict (execution_id, number) do update
set outcome = excluded.outcome, request = excluded.request, retcode = excluded.retcode,
    last_error = excluded.last_error, order_ticket = excluded.order_ticket, detail = excluded.detail,
    sent_at = excluded.sent_at, answered_at = excluded.answered_at, reply = excluded.reply

-- name: insert_deals
-- A deal that is seen again, by another look or another report, is left alone. What the broker shows takes the place of
-- what an operator attested.
insert into ledger.deals as d
select distinct on (account, deal_id) * from json_populate_recordset(null::ledger.deals, %(rows)s::json)
order by account, deal_id, attested_by nulls first
on conflict (account, deal_id) do update
set execution_id = excluded.execution_id, order_id = excluded.order_id, magic = excluded.magic,
    position_id = excluded.position_id, lots = excluded.lots, units = excluded.units, price = excluded.price,
    commission = excluded.commission, fee = excluded.fee, time = excluded.time, attested_by = excluded.attested_by
where d.attested_by is not null and excluded.attested_by is null

-- name: withdraw_attested_deals
-- The broker has shown that they were none of this trade's; the audit trail still tells that they were attested.
delete from ledger.deals d
using json_to_recordset(%(rows)s::json) as n (execution_id uuid, kept bigint[])
where d.execution_id = n.execution_id and d.attested_by is not null and d.deal_id <> all(n.kept)

-- name: insert_reply_addresses
-- The same sender asking again is one address.
insert into ledger.reply_addresses
select * from json_populate_recordset(null::ledger.reply_addresses, %(rows)s::json)
on conflict do nothing

-- name: insert_refusals
-- Messages that never became trades.
insert into ledger.refusals select * from json_populate_recordset(null::ledger.refusals, %(rows)s::json)

-- name: insert_confirmations
-- Kept for ever, so that any of them can be published again.
insert into ledger.confirmations (
    execution_id, version, account, status, final, symbol, routing_key, correlation_id, message_id, created_at, body)
select execution_id, version, account, status, final, symbol, routing_key, correlation_id, message_id, created_at,
       (%(bodies)b::bytea[])[ordinality]
from json_populate_recordset(null::ledger.confirmations, %(rows)s::json) with ordinality

-- name: insert_dead_letters
-- Taken in once.
insert into ledger.dead_letters (
    letter_id, desk, source_queue, account, reason, detail, body, envelope, headers, trade_id, execution_id, follows,
    failed_at, content_digest, taken_in_at, taken_in_by)
select letter_id, desk, source_queue, account, reason, detail, (%(bodies)b::bytea[])[ordinality], envelope, headers,
       trade_id, execution_id, follows, failed_at, content_digest, taken_in_at, taken_in_by
from json_populate_recordset(null::ledger.dead_letters, %(rows)s::json) with ordinality

-- name: insert_replays
-- The permission is committed before the message that points to it leaves.
insert into ledger.replays select * from json_populate_recordset(null::ledger.replays, %(rows)s::json)

-- name: consume_replays
-- Each permission is good for one delivery.
update ledger.replays r
set consumed_at = n.consumed_at, consumed_as = n.consumed_as, execution_id = n.execution_id
from json_populate_recordset(null::ledger.replays, %(rows)s::json) n
where r.replay_id = n.replay_id and r.consumed_at is null

-- name: close_letters
-- What has become of a letter that is being replayed.
update ledger.dead_letters d set state = n.state, state_at = n.state_at
from json_populate_recordset(null::ledger.dead_letters, %(rows)s::json) n
where d.letter_id = n.letter_id and d.state = 'replaying'

-- name: close_letters_of_executions
-- The same for letters whose replay became, or reopened, an execution that has settled now. A superseded replay says
-- nothing any more: its letter waits for what the later one comes to.
update ledger.dead_letters d set state = n.state, state_at = n.state_at
from json_populate_recordset(null::ledger.dead_letters, %(rows)s::json) n
join ledger.replays r on r.execution_id = n.execution_id and r.superseded_at is null
where d.letter_id = r.letter_id and d.state = 'replaying'

-- name: insert_orphans
-- Each is reported once.
insert into ledger.orphans select * from json_populate_recordset(null::ledger.orphans, %(rows)s::json)

-- name: insert_namespaces
-- From its commit on, new tokens of all accounts come from it.
insert into ledger.namespaces (number, namespace, system_identifier, timeline, storage)
select number, namespace, system_identifier, timeline, storage
from json_populate_recordset(null::ledger.namespaces, %(rows)s::json)

-- name: write_halts
-- From its commit on, no send that one of them stands for can be written ahead.
update ledger.accounts a
set halted = n.halted, halt_reason = n.halt_reason, halted_by = n.halted_by, halted_at = n.halted_at,
    halt_holds = n.halt_holds, symbol_halts = n.symbol_halts
from json_populate_recordset(null::ledger.accounts, %(rows)s::json) n
where a.account = n.account

-- name: insert_outbox
-- Ids follow the order of the rows; the account's lock makes that the order of commit.
insert into ledger.outbox (account, kind, exchange, routing_key, properties, body, execution_id, version, created_at)
select r.account, r.kind, r.exchange, r.routing_key, r.properties, (%(bodies)b::bytea[])[r.ordinality],
       r.execution_id, r.version, r.created_at
from json_populate_recordset(null::ledger.outbox, %(rows)s::json) with ordinality as r
order by r.ordinality
returning id

-- name: delete_outbox
-- RabbitMQ has them now. Refused ones stay, replies excepted.
with published as (
    delete from ledger.outbox o
    using json_to_recordset(%(rows)s::json) as n (id bigint, account text, refused boolean, published_at timestamptz)
    where o.id = n.id and o.account = n.account and (not n.refused or o.kind = 'reply')
    returning o.execution_id, o.version, o.kind, n.published_at
)
update ledger.confirmations c set published_at = p.published_at
from published p
where p.kind = 'confirmation' and c.execution_id = p.execution_id and c.version = p.version and c.published_at is null

-- name: insert_audit_events
-- The chain goes on.
insert into ledger.audit_events select * from json_populate_recordset(null::ledger.audit_events, %(rows)s::json)
