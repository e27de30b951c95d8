-- Everything a run remembers. One writing connection; readers open the file read-only.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

-- One row per request to a model, keyed by what decides the reply. `cost_micro` and `tokens` are spent for good
-- (attempts whose fate is unknown count at their bound); `held_*` are what a call in flight may still cost.
CREATE TABLE IF NOT EXISTS calls (
  key BLOB PRIMARY KEY, stage TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
  request BLOB, response BLOB, usage TEXT,
  cost_micro INTEGER NOT NULL DEFAULT 0, held_micro INTEGER NOT NULL DEFAULT 0,
  tokens INTEGER NOT NULL DEFAULT 0, held_tokens INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0, started REAL, ended REAL, error TEXT
);

-- The fate of every record: state is kept | dropped | failed, kind is one of the row kinds.
CREATE TABLE IF NOT EXISTS rows (
  stage TEXT NOT NULL, row TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL,
  value TEXT, verdict TEXT, updated REAL NOT NULL, PRIMARY KEY (stage, row)
);

CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, stage TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL
);

CREATE VIEW IF NOT EXISTS ledger AS
SELECT stage, model, count(*) AS calls, sum(attempts) AS attempts, sum(cost_micro) AS spent_micro,
       sum(held_micro) AS held_micro, sum(tokens) AS tokens, sum(held_tokens) AS held_tokens
FROM calls GROUP BY stage, model;
