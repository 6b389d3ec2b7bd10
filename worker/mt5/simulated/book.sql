-- The broker's book. Tables `orders`, `deals` and `positions` have MetaTrader's own field names as columns, so that
-- anyone can check from outside what was really done; times in them are the server's wall clock, encoded as an epoch.
-- `orders` holds open and historical orders alike: `state` tells which, and `time_done` is 0 while an order is open.
-- `price_current`, `swap` and `profit` of an open position are as of its last change here; look-ups compute them anew.

CREATE TABLE meta (
    only_row              INTEGER PRIMARY KEY CHECK (only_row = 1),
    login                 INTEGER NOT NULL DEFAULT 50000001,
    server                TEXT    NOT NULL DEFAULT 'Simulated-Demo',
    leverage              INTEGER NOT NULL DEFAULT 100 CHECK (leverage > 0),
    margin_mode           INTEGER NOT NULL DEFAULT 2 CHECK (margin_mode IN (0, 2)), -- 0 netting, 2 hedging
    server_offset_seconds INTEGER NOT NULL DEFAULT 7200, -- the server's wall clock minus UTC
    latency_ms            REAL    NOT NULL DEFAULT 0 CHECK (latency_ms >= 0), -- of order_send, on the way to the server
    connected             INTEGER NOT NULL DEFAULT 1, -- the terminal's connection to the server
    trade_allowed         INTEGER NOT NULL DEFAULT 1, -- the terminal's "Algo Trading" button
    tradeapi_disabled     INTEGER NOT NULL DEFAULT 0, -- the terminal's option against trading from Python
    opened_utc_msc        INTEGER NOT NULL,
    balance               REAL    NOT NULL DEFAULT 0, -- kept by a trigger: the sum over all deals
    history_ready_utc_msc INTEGER NOT NULL DEFAULT 0, -- until then every look-up finds nothing and calls it a success
    open_at_weekends      INTEGER NOT NULL DEFAULT 1 -- 0: only coins are traded on Saturdays and Sundays
);

CREATE TABLE orders (
    ticket          INTEGER PRIMARY KEY,
    time_setup      INTEGER NOT NULL,
    time_setup_msc  INTEGER NOT NULL,
    time_done       INTEGER NOT NULL,
    time_done_msc   INTEGER NOT NULL,
    time_expiration INTEGER NOT NULL,
    type            INTEGER NOT NULL,
    type_time       INTEGER NOT NULL,
    type_filling    INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    magic           INTEGER NOT NULL,
    position_id     INTEGER NOT NULL,
    position_by_id  INTEGER NOT NULL,
    reason          INTEGER NOT NULL,
    volume_initial  REAL    NOT NULL,
    volume_current  REAL    NOT NULL,
    price_open      REAL    NOT NULL,
    sl              REAL    NOT NULL,
    tp              REAL    NOT NULL,
    price_current   REAL    NOT NULL,
    price_stoplimit REAL    NOT NULL,
    symbol          TEXT    NOT NULL,
    comment         TEXT    NOT NULL,
    external_id     TEXT    NOT NULL
);
CREATE INDEX orders_by_time ON orders (time_done_msc, ticket, symbol); -- open orders are those at 0
CREATE INDEX orders_by_position ON orders (position_id);

CREATE TABLE deals (
    ticket      INTEGER PRIMARY KEY,
    "order"     INTEGER NOT NULL,
    time        INTEGER NOT NULL,
    time_msc    INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    entry       INTEGER NOT NULL,
    magic       INTEGER NOT NULL,
    position_id INTEGER NOT NULL,
    reason      INTEGER NOT NULL,
    volume      REAL    NOT NULL,
    price       REAL    NOT NULL,
    commission  REAL    NOT NULL,
    swap        REAL    NOT NULL,
    profit      REAL    NOT NULL,
    fee         REAL    NOT NULL,
    symbol      TEXT    NOT NULL,
    comment     TEXT    NOT NULL,
    external_id TEXT    NOT NULL
);
CREATE INDEX deals_by_time ON deals (time_msc, ticket, symbol);
CREATE INDEX deals_by_order ON deals ("order");
CREATE INDEX deals_by_position ON deals (position_id);

CREATE TABLE positions (
    ticket          INTEGER PRIMARY KEY,
    time            INTEGER NOT NULL,
    time_msc        INTEGER NOT NULL,
    time_update     INTEGER NOT NULL,
    time_update_msc INTEGER NOT NULL,
    type            INTEGER NOT NULL,
    magic           INTEGER NOT NULL,
    identifier      INTEGER NOT NULL,
    reason          INTEGER NOT NULL,
    volume          REAL    NOT NULL,
    price_open      REAL    NOT NULL,
    sl              REAL    NOT NULL,
    tp              REAL    NOT NULL,
    price_current   REAL    NOT NULL,
    swap            REAL    NOT NULL,
    profit          REAL    NOT NULL,
    symbol          TEXT    NOT NULL,
    comment         TEXT    NOT NULL,
    external_id     TEXT    NOT NULL
);
CREATE INDEX positions_by_symbol ON positions (symbol);

-- What happens later. Whoever calls next applies what is due, before anything else is read or done. Anybody may add
-- to it from outside: a `deal` executes `lots` of an order, whether it is open or cancelled.
-- What waits for a price is here as well: up to its due time the market has been looked at, and a pending order
-- (`look`) or a position's stops (`guard`) were not touched before; an order's time ends at `expire`.
CREATE TABLE schedule (
    id           INTEGER PRIMARY KEY,
    due_utc_msc  INTEGER NOT NULL,
    event        TEXT    NOT NULL CHECK (event IN ('fill', 'deal', 'reveal', 'look', 'guard', 'expire')),
    order_ticket INTEGER NOT NULL REFERENCES orders (ticket), -- or the position's, which is that of an order
    lots         REAL CHECK (lots > 0) -- of a deal; NULL: all that is left of the order
);
CREATE INDEX schedule_by_time ON schedule (due_utc_msc);
CREATE INDEX schedule_by_event ON schedule (event, order_ticket);

-- Whoever gives a position a stop loss or a take profit, or changes one, the market is looked at from that moment on.
CREATE TRIGGER stops_given AFTER INSERT ON positions WHEN new.sl OR new.tp BEGIN
    INSERT INTO schedule (due_utc_msc, event, order_ticket)
    SELECT new.time_update_msc - server_offset_seconds * 1000, 'guard', new.ticket FROM meta;
END;

CREATE TRIGGER stops_changed AFTER UPDATE OF sl, tp, type, ticket ON positions
WHEN (old.sl OR old.tp OR new.sl OR new.tp)
    AND (new.sl, new.tp, new.type, new.ticket) IS NOT (old.sl, old.tp, old.type, old.ticket) BEGIN
    DELETE FROM schedule WHERE event = 'guard' AND order_ticket = old.ticket;
    INSERT INTO schedule (due_utc_msc, event, order_ticket)
    SELECT new.time_update_msc - server_offset_seconds * 1000, 'guard', new.ticket FROM meta WHERE new.sl OR new.tp;
END;

CREATE TRIGGER stops_gone AFTER DELETE ON positions WHEN old.sl OR old.tp BEGIN
    DELETE FROM schedule WHERE event = 'guard' AND order_ticket = old.ticket;
END;

-- How often each trade was sent, for behaviours that change with the attempt.
CREATE TABLE sends (
    trade  INTEGER NOT NULL,
    symbol TEXT    NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (trade, symbol)
) WITHOUT ROWID;

-- Running sums over the open positions, so that margin and profit of ten thousand cost no more than those of one.
CREATE TABLE exposure (
    symbol   TEXT    NOT NULL,
    type     INTEGER NOT NULL,
    volume   REAL    NOT NULL,
    notional REAL    NOT NULL, -- volume times opening price
    PRIMARY KEY (symbol, type)
) WITHOUT ROWID;

CREATE TRIGGER position_opened AFTER INSERT ON positions BEGIN
    INSERT INTO exposure VALUES (new.symbol, new.type, new.volume, new.volume * new.price_open)
    ON CONFLICT DO UPDATE SET volume = volume + excluded.volume, notional = notional + excluded.notional;
END;

CREATE TRIGGER position_closed AFTER DELETE ON positions BEGIN
    UPDATE exposure SET volume = volume - old.volume, notional = notional - old.volume * old.price_open
    WHERE symbol = old.symbol AND type = old.type;
END;

CREATE TRIGGER position_changed AFTER UPDATE OF type, volume, price_open ON positions BEGIN
    UPDATE exposure SET volume = volume - old.volume, notional = notional - old.volume * old.price_open
    WHERE symbol = old.symbol AND type = old.type;
    INSERT INTO exposure VALUES (new.symbol, new.type, new.volume, new.volume * new.price_open)
    ON CONFLICT DO UPDATE SET volume = volume + excluded.volume, notional = notional + excluded.notional;
END;

CREATE TRIGGER deal_booked AFTER INSERT ON deals BEGIN
    UPDATE meta SET balance = balance + new.profit + new.commission + new.swap + new.fee;
END;
