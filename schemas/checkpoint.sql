-- The schema `plimsoll` as the agent creates it on each server, with its session's binlog off.
-- It is never replicated, and no comment or literal below contains a semicolon.

CREATE DATABASE IF NOT EXISTS plimsoll DEFAULT CHARACTER SET utf8mb4;

-- Where this server stands in the cluster's log (I8). One row. It is written in the same server
-- transaction as the rows it covers, so a physical backup of the server carries its own position.
-- role     replica: everything up to `lsn` is applied, nothing after it
--          source:  the server was opened as source of `epoch` at `source_file`:`source_offset`.
--                   Before it may apply again its position is computed from its own binlog's end
-- lsn      the last applied record, NULL before the first
-- stamp    that record's timestamp, all 64 bits
-- format_lsn  the record with the format description in force there
CREATE TABLE IF NOT EXISTS plimsoll.checkpoint (
  id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  role ENUM('replica', 'source') NOT NULL,
  cluster CHAR(32) CHARACTER SET ascii NOT NULL,
  member VARCHAR(63) CHARACTER SET ascii NOT NULL,
  epoch INT UNSIGNED NULL,
  lsn BIGINT UNSIGNED NULL,
  stamp BIGINT UNSIGNED NULL,
  format_lsn BIGINT UNSIGNED NULL,
  gtid VARCHAR(128) CHARACTER SET ascii NULL,
  source_file VARCHAR(512) NULL,
  source_offset BIGINT UNSIGNED NULL
) ENGINE=InnoDB;

-- What is being done that cannot share a server transaction with the checkpoint: a DDL statement,
-- MySQL's CREATE ... SELECT, rows of a table without transactions. One row, committed before it
-- begins, deleted in the transaction that writes the checkpoint after it.
-- fingerprint  of everything the statement may change, as it was before: after a crash it tells
--              whether the statement ran
CREATE TABLE IF NOT EXISTS plimsoll.intent (
  id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  lsn BIGINT UNSIGNED NOT NULL,
  kind VARCHAR(16) CHARACTER SET ascii NOT NULL,
  fingerprint CHAR(64) CHARACTER SET ascii NOT NULL
) ENGINE=InnoDB;

-- XA transactions that were prepared at the source and are applied at their XA COMMIT, by reading
-- record `lsn` of the log again. Written in the same transaction as the checkpoint.
CREATE TABLE IF NOT EXISTS plimsoll.xa_parked (
  xid VARBINARY(300) NOT NULL PRIMARY KEY,
  lsn BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB;

-- Who this server is, on MariaDB, which has no server_uuid. One row.
-- server_id  the server's own when the id was made: a copy of the data on a server with another
--            server_id gets an id of its own
CREATE TABLE IF NOT EXISTS plimsoll.identity (
  id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  uuid CHAR(36) CHARACTER SET ascii NOT NULL,
  server_id INT UNSIGNED NOT NULL
) ENGINE=InnoDB;
