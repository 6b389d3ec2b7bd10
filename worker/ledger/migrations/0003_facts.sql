-- What canaries have measured of the brokers: one row each, for ever. The worker reads the newest of each symbol when it
-- starts; the rest is for people.
create table ledger.broker_facts (
    server        text not null,
    login         bigint not null,
    symbol        text not null, -- the broker's name
    measured_at   timestamptz not null,
    measured_by   text not null,
    account       text not null, -- as the settings named it; no worker may have run for it yet
    history_lag   double precision not null check (history_lag >= 0), -- seconds
    keeps_magic   boolean not null,
    keeps_comment boolean not null,
    facts         jsonb not null, -- all of it
    primary key (server, login, symbol, measured_at)
);

alter function ledger.grant_rights() rename to grant_rights_of_0002;

create function ledger.grant_rights() returns void language plpgsql as $$
declare
    role_name text;
begin
    perform ledger.grant_rights_of_0002(); -- makes the roles; all three may read every table
    -- A canary is flown by whoever sets a worker up, or by an operator. Nobody changes what was measured.
    foreach role_name in array array['mt5_worker', 'mt5_operator'] loop
        if exists (select from pg_roles where rolname = role_name) then
            execute format('grant insert on ledger.broker_facts to %I', role_name);
        end if;
    end loop;
end $$;
