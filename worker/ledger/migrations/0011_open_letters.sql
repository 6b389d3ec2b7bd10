-- The letters that wait for an operator, found without looking at all that are closed: they are counted every few seconds.
create index open_dead_letters on ledger.dead_letters (desk) where state in ('new', 'failed_again');
