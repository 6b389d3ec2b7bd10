-- An order whose end shows in the moment of its answer is recorded with that answer in one step.
insert into ledger.transitions (from_state, to_state) values
    ('submitting', 'filled'), ('submitting', 'partially_filled'), ('submitting', 'cancelled');
