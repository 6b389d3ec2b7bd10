-- What `lock_as_foreseen` did, and the move of the audit chain's head with it, in one update. Each deal is looked up by
-- itself: planned while the table was small, a search for all of them together went through every deal of the account.
create function ledger.move_as_foreseen(
    account text, epoch bigint, holder text, sequence bigint, hash text, batch uuid, namespace integer, deals bigint[],
    next_sequence bigint, next_hash text, next_batch uuid
) returns void language plpgsql as $$
begin
    update ledger.accounts a set audit_sequence = $9, audit_hash = $10, last_batch = $11
    where a.account = $1 and a.lease_epoch = $2 and a.lease_holder = $3 and a.audit_sequence = $4 and a.audit_hash = $5
      and a.last_batch = $6 and not a.halted and a.symbol_halts = '{}'
      and ($7 is null or $7 = (select n.namespace from ledger.namespaces n order by n.number desc limit 1))
      and not exists (
          select from unnest($8) as brought (deal_id)
          cross join lateral (
              select from ledger.deals d
              where d.account = $1 and d.deal_id = brought.deal_id and d.attested_by is not null limit 1) attested);
    if not found then
        raise exception 'account %: it is not as foreseen', $1 using errcode = 'MW005';
    end if;
end $$;

drop function ledger.lock_as_foreseen(text, bigint, text, bigint, text, uuid, integer, bigint[]);
