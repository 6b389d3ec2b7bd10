-- Who may do what. Roles belong to the whole cluster: another database may just be creating them, or the migrating user
-- may not be allowed to. Both are no error; `db migrate` runs this function each time, so roles made later get their
-- rights then.
create function ledger.grant_rights() returns void language plpgsql as $$
declare
    role_name text;
begin
    foreach role_name in array array['mt5_worker', 'mt5_operator', 'mt5_auditor'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise notice 'role % does not exist and may not be created by %: create it (nologin) and '
                        'run the migration again, or run everything as the owner', role_name, current_user;
                    continue;
            end;
        end if;
        execute format('grant usage on schema ledger to %I', role_name);
        execute format('grant select on all tables in schema ledger to %I', role_name);
        execute format('grant select on all sequences in schema ledger to %I', role_name);
    end loop;

    if exists (select from pg_roles where rolname = 'mt5_worker') then
        grant insert, update on ledger.accounts, ledger.executions, ledger.attempts, ledger.dead_letters
            to mt5_worker;
        grant insert on ledger.namespaces, ledger.orphans, ledger.deals, ledger.confirmations, ledger.reply_addresses,
            ledger.refusals, ledger.audit_events, ledger.outbox to mt5_worker;
        grant delete on ledger.outbox to mt5_worker;
        grant update, delete on ledger.deals to mt5_worker; -- attested ones only: a trigger keeps the broker's own
        grant update (published_at) on ledger.confirmations to mt5_worker;
        grant update (consumed_at, consumed_as, execution_id) on ledger.replays to mt5_worker;
        grant usage on sequence ledger.trade_counter, ledger.outbox_id_seq to mt5_worker;
    end if;

    if exists (select from pg_roles where rolname = 'mt5_operator') then
        grant update (halted, halt_reason, halted_by, halted_at, audit_sequence, audit_hash) on ledger.accounts
            to mt5_operator;
        grant update (state, state_by, state_reason, state_at) on ledger.dead_letters to mt5_operator;
        grant insert on ledger.replays, ledger.outbox, ledger.audit_events, ledger.confirmations to mt5_operator;
        -- To resolve: what the trade itself says, and its token, stay out of reach.
        grant insert, update, delete on ledger.deals to mt5_operator; -- attested ones only, as above
        grant update (state, is_open, is_unresolved, revision, version, attempts, sends, round_start, stale_allowed, venue,
                      broker_symbol, contract_size, pip_size, max_slippage_pips, requested_lots, executed_lots,
                      first_touch, validated_at, submitted_at, accepted_at, cancelled_at, cancel_asked_at, filled_at,
                      settled_at, order_ticket, position_id, reason, detail) on ledger.executions to mt5_operator;
        grant usage on sequence ledger.outbox_id_seq to mt5_operator;
    end if;
end $$;
