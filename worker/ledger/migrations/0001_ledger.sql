-- The ledger: what was asked, what was done about it, what was told, and who may change it.
-- `create schema ledger` and the table `ledger.migrations` come from the migrator itself.

-- One row per trading account. Every transaction of an account locks it first: it holds the fence (lease and halt),
-- the head of the audit chain, the identity of the batch that was committed last, and how far all deals of the broker
-- have been compared with the ledger.
create table ledger.accounts (
    account           text primary key,
    backend           text,
    server            text,
    login             bigint,
    lease_epoch       bigint not null default 0,
    lease_holder      text,
    lease_counter     bigint not null default 0,
    lease_renewed_at  timestamptz,
    worker_report     jsonb not null default '{}',
    halted            boolean not null default false,
    halt_reason       text,
    halted_by         text,
    halted_at         timestamptz,
    audit_sequence    bigint not null default 0,
    audit_hash        text not null default repeat('0', 64),
    last_batch        uuid,
    system_identifier text,
    timeline          text,
    storage           text,
    compared_until    timestamptz,
    newest_deal       bigint,
    constraint one_ledger_account_per_login unique (server, login),
    constraint bound_as_a_whole check (num_nonnulls(backend, server, login) in (0, 3)),
    constraint a_halt_has_a_reason check (not halted or num_nonnulls(halt_reason, halted_by, halted_at) = 3),
    constraint known_as_a_whole check (num_nonnulls(system_identifier, timeline, storage) in (0, 3))
) with (fillfactor = 50); -- updated by every batch: room for updates in place

-- Token namespaces; new tokens come from the one with the highest number. A restored or promoted copy of the database
-- begins a new one, so that it never hands out a token that the lost part of the ledger has handed out before.
create table ledger.namespaces (
    number            integer primary key check (number > 0),
    namespace         integer not null unique check (namespace between 1 and 2097151),
    system_identifier text not null,
    timeline          text not null,
    storage           text not null,
    created_at        timestamptz not null default now()
);

-- Numbers the trades in the order they were written down; the 36 bits of a token's counter.
create sequence ledger.trade_counter minvalue 0 maxvalue 68719476735;

-- The legal state changes, the same table as the program's; a test holds both against each other.
create table ledger.transitions (
    from_state text,
    to_state   text,
    primary key (from_state, to_state)
);

insert into ledger.transitions (from_state, to_state) values
    ('received', 'submitting'), ('received', 'rejected'), ('received', 'expired'), ('received', 'error'),
    ('received', 'unknown'),
    ('submitting', 'received'), ('submitting', 'accepted'), ('submitting', 'unknown'), ('submitting', 'rejected'),
    ('submitting', 'expired'), ('submitting', 'error'),
    ('accepted', 'working_partial'), ('accepted', 'cancelling'), ('accepted', 'unknown'), ('accepted', 'rejected'),
    ('accepted', 'expired'), ('accepted', 'cancelled'), ('accepted', 'filled'), ('accepted', 'partially_filled'),
    ('working_partial', 'cancelling'), ('working_partial', 'unknown'), ('working_partial', 'filled'),
    ('working_partial', 'partially_filled'),
    ('cancelling', 'expired'), ('cancelling', 'cancelled'), ('cancelling', 'rejected'), ('cancelling', 'unknown'),
    ('cancelling', 'filled'), ('cancelling', 'partially_filled'),
    ('unknown', 'received'), ('unknown', 'accepted'), ('unknown', 'unresolved'), ('unknown', 'error'),
    ('unknown', 'rejected'), ('unknown', 'expired'), ('unknown', 'cancelled'), ('unknown', 'filled'),
    ('unknown', 'partially_filled'),
    ('unresolved', 'accepted'), ('unresolved', 'error'), ('unresolved', 'rejected'), ('unresolved', 'expired'),
    ('unresolved', 'cancelled'), ('unresolved', 'filled'), ('unresolved', 'partially_filled'),
    ('filled', 'filled'), ('filled', 'partially_filled'),
    ('partially_filled', 'filled'), ('partially_filled', 'partially_filled'),
    ('rejected', 'filled'), ('rejected', 'partially_filled'),
    ('expired', 'filled'), ('expired', 'partially_filled'),
    ('cancelled', 'filled'), ('cancelled', 'partially_filled'),
    ('error', 'received'), ('error', 'filled'), ('error', 'partially_filled');

-- One row per trade, for ever.
create table ledger.executions (
    execution_id      uuid primary key,
    account           text not null references ledger.accounts,
    identity_kind     text not null check (identity_kind in ('order_id', 'message_id', 'body')),
    trade_id          text not null,
    rpm_order_id      text,
    body_digest       text not null,
    symbol            text not null,
    direction         smallint not null check (direction in (1, -1)),
    units             numeric check (units > 0),
    intended_price    numeric,
    approved_at       timestamptz not null,
    rpm_rejection     text,
    rpm_halt          text,
    body              bytea not null,
    envelope          jsonb not null,
    token             bigint not null unique check (token > 0 and token & 63 = 0),
    received_at       timestamptz not null,
    state             text not null,
    is_open           boolean not null, -- in an index instead of the state: most steps then touch no index at all
    is_unresolved     boolean not null, -- the same
    revision          integer not null check (revision > 0),
    version           integer not null check (version >= 0),
    attempts          integer not null check (attempts between 0 and 63),
    sends             integer not null,
    round_start       integer not null,
    stale_allowed     boolean not null,
    venue             jsonb,
    broker_symbol     text,
    contract_size     numeric,
    pip_size          numeric,
    max_slippage_pips numeric,
    requested_lots    numeric,
    executed_lots     numeric not null check (executed_lots >= 0),
    first_touch       numeric,
    validated_at      timestamptz,
    submitted_at      timestamptz,
    accepted_at       timestamptz,
    cancelled_at      timestamptz,
    cancel_asked_at   timestamptz,
    filled_at         timestamptz,
    settled_at        timestamptz,
    order_ticket      bigint,
    position_id       bigint,
    reason            text,
    detail            text,
    constraint executed_at_most_once unique (identity_kind, trade_id),
    constraint state_is_known check (state in (
        'received', 'submitting', 'accepted', 'working_partial', 'cancelling', 'unknown', 'unresolved',
        'filled', 'partially_filled', 'rejected', 'expired', 'cancelled', 'error')),
    constraint open_until_settled check (is_open = (state in (
        'received', 'submitting', 'accepted', 'working_partial', 'cancelling', 'unknown'))),
    constraint unresolved_until_evidence check (is_unresolved = (state = 'unresolved')),
    constraint sends_follow_attempts check (0 <= round_start and round_start <= sends and sends <= attempts),
    constraint approved_or_rejected check (units is not null or rpm_rejection is not null),
    constraint at_the_broker_after_an_attempt check (attempts > 0 or state not in (
        'submitting', 'accepted', 'working_partial', 'cancelling', 'unknown', 'unresolved',
        'filled', 'partially_filled')),
    constraint settled_means_confirmed check (version > 0 or state not in (
        'unresolved', 'filled', 'partially_filled', 'rejected', 'expired', 'cancelled', 'error')),
    constraint filled_means_executed check (executed_lots > 0 or state not in ('filled', 'partially_filled')),
    constraint not_filled_means_not_executed check (executed_lots = 0 or state not in (
        'received', 'rejected', 'expired', 'cancelled', 'error')),
    constraint refused_means_a_reason check (reason is not null or state not in (
        'unresolved', 'rejected', 'expired', 'cancelled', 'error'))
) with (fillfactor = 60, toast_tuple_target = 512); -- room for updates in place; bodies go aside and are not copied

create unique index same_body_is_the_same_trade on ledger.executions (account, body_digest)
    where rpm_order_id is null;
create index open_executions on ledger.executions (account) where is_open;
create index unresolved_executions on ledger.executions (account) where is_unresolved;
create index executions_by_arrival on ledger.executions (account, received_at);

-- Refuses what no program may do: skip a revision or a confirmation's version, or change a state outside the table.
create function ledger.hold_to_the_transitions() returns trigger language plpgsql as $$
begin
    if new.revision <> old.revision + 1 then
        raise exception 'execution %: revision % cannot follow %', old.execution_id, new.revision, old.revision
            using errcode = 'MW001';
    end if;
    if new.version not in (old.version, old.version + 1) then
        raise exception 'execution %: version % cannot follow %', old.execution_id, new.version, old.version
            using errcode = 'MW001';
    end if;
    if new.state <> old.state and not exists (
        select from ledger.transitions t where t.from_state = old.state and t.to_state = new.state
    ) then
        raise exception 'execution %: % -> % is not a legal transition', old.execution_id, old.state, new.state
            using errcode = 'MW002';
    end if;
    return new;
end $$;

create trigger hold_to_the_transitions before update on ledger.executions
    for each row execute function ledger.hold_to_the_transitions();

-- Each write-ahead of a send, and what came of it.
create table ledger.attempts (
    execution_id uuid not null references ledger.executions,
    number       integer not null check (number between 1 and 63),
    magic        bigint not null unique,
    lots         numeric not null check (lots > 0),
    request      jsonb not null,
    outcome      text not null check (outcome in (
        'pending', 'accepted', 'retry', 'wait', 'refused', 'ambiguous', 'found', 'absent')),
    retcode      integer,
    last_error   integer,
    order_ticket bigint,
    detail       text not null,
    written_at   timestamptz,
    sent_at      timestamptz,
    answered_at  timestamptz,
    reply        jsonb,
    primary key (execution_id, number)
) with (fillfactor = 80);

-- What the broker has under a token of ours that no attempt was written down for. Each is reported once.
create table ledger.orphans (
    account      text not null references ledger.accounts,
    magic        bigint not null,
    order_ticket bigint not null,
    symbol       text not null,
    seen_at      timestamptz not null,
    primary key (account, magic)
);

-- The broker's deals, each counted once per account. One that an operator attests lacks what he does not know, until the
-- broker shows it.
create table ledger.deals (
    account      text not null,
    deal_id      bigint not null,
    execution_id uuid not null references ledger.executions,
    order_id     bigint,
    magic        bigint,
    position_id  bigint,
    lots         numeric not null check (lots > 0),
    units        numeric not null check (units > 0),
    price        numeric,
    commission   numeric,
    fee          numeric,
    time         timestamptz,
    attested_by  text,
    primary key (account, deal_id),
    constraint shown_or_attested check (
        attested_by is not null or num_nulls(order_id, magic, position_id, price, commission, fee, time) = 0)
);
create index deals_of_execution on ledger.deals (execution_id);

create function ledger.keep_what_the_broker_has_shown() returns trigger language plpgsql as $$
begin
    if old.attested_by is null then
        raise exception 'deal %: the broker has shown it; it is neither changed nor deleted', old.deal_id
            using errcode = 'MW004';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end $$;

create trigger keep_what_the_broker_has_shown before update or delete on ledger.deals
    for each row execute function ledger.keep_what_the_broker_has_shown();

-- Every version of every confirmation, byte for byte as it is published.
create table ledger.confirmations (
    execution_id   uuid not null,
    version        integer not null check (version > 0),
    account        text not null,
    status         text not null,
    final          boolean not null,
    symbol         text,
    routing_key    text not null,
    correlation_id text,
    message_id     text not null,
    body           bytea not null,
    created_at     timestamptz not null,
    published_at   timestamptz,
    primary key (execution_id, version)
);
create index confirmations_by_time on ledger.confirmations (account, created_at);

-- Where else a trade's confirmations go: the senders who asked for a copy.
create table ledger.reply_addresses (
    execution_id   uuid not null,
    reply_to       text not null,
    correlation_id text not null,
    primary key (execution_id, reply_to, correlation_id)
);

-- Messages that wait to be published, relayed by the worker of `account` in the order of `id`.
create table ledger.outbox (
    id           bigserial primary key,
    account      text not null,
    kind         text not null check (kind in ('confirmation', 'reply', 'dead_letter', 'replay')),
    exchange     text not null,
    routing_key  text not null,
    properties   jsonb not null,
    body         bytea not null,
    execution_id uuid,
    version      integer,
    created_at   timestamptz not null
);
create index outbox_by_account on ledger.outbox (account, id);

-- Messages that became dead letters without ever being a trade of their own.
create table ledger.refusals (
    execution_id   uuid primary key,
    account        text not null,
    reason         text not null,
    detail         text not null,
    content_digest text not null,
    envelope       jsonb not null,
    refused_at     timestamptz not null
);
create index refusals_by_content on ledger.refusals (account, content_digest);

-- What was taken out of the dead-letter queues, for an operator to look at, replay or discard.
create table ledger.dead_letters (
    letter_id      uuid primary key,
    desk           text not null references ledger.accounts, -- whose worker took it in: its chain tells the letter's story
    source_queue   text not null,
    account        text,
    reason         text not null,
    detail         text not null,
    body           bytea not null,
    envelope       jsonb not null,
    headers        jsonb not null,
    trade_id       text,
    execution_id   uuid,
    failed_at      timestamptz,
    content_digest text not null,
    taken_in_at    timestamptz not null,
    taken_in_by    text not null,
    state          text not null default 'new',
    state_by       text,
    state_reason   text,
    state_at       timestamptz,
    constraint letter_state_is_known check (state in ('new', 'replaying', 'resolved', 'failed_again', 'discarded'))
);
create index dead_letters_by_state on ledger.dead_letters (account, state, taken_in_at);
create index dead_letters_by_execution on ledger.dead_letters (execution_id);
create index dead_letters_by_trade on ledger.dead_letters (trade_id);
create index dead_letters_by_content on ledger.dead_letters (content_digest);

-- An operator's permissions to try a dead letter again; each is good for one delivery.
create table ledger.replays (
    replay_id    uuid primary key,
    letter_id    uuid not null references ledger.dead_letters,
    account      text not null,
    by           text not null,
    reason       text not null,
    allow_stale  boolean not null,
    created_at   timestamptz not null,
    consumed_at  timestamptz,
    consumed_as  text check (consumed_as in ('new', 'repeat', 'reopened', 'refused')),
    execution_id uuid,
    constraint consumed_as_a_whole check ((consumed_at is null) = (consumed_as is null))
);
create index replays_by_letter on ledger.replays (letter_id);
create index replays_by_execution on ledger.replays (execution_id);

-- The audit trail: one hash chain per account. All text, so that the hash covers exactly what is stored.
create table ledger.audit_events (
    account       text not null,
    sequence      bigint not null check (sequence > 0),
    at            text not null,
    actor         text not null,
    kind          text not null,
    execution_id  text,
    payload       text not null,
    previous_hash text not null,
    hash          text not null,
    primary key (account, sequence)
);
create index audit_events_by_execution on ledger.audit_events (execution_id) where execution_id is not null;

create function ledger.refuse_to_rewrite() returns trigger language plpgsql as $$
begin
    raise exception 'the audit trail is append-only: % is not possible', lower(tg_op) using errcode = 'MW003';
end $$;

create trigger append_only before update or delete on ledger.audit_events
    for each row execute function ledger.refuse_to_rewrite();
create trigger append_only_as_a_whole before truncate on ledger.audit_events
    for each statement execute function ledger.refuse_to_rewrite();
