//! From a logged-in connection to a running dump.

use mysql_common::packets::ComRegisterSlave;
use mysql_common::proto::MySerialize;
use wal::BinlogPosition;

use super::login::Connection;
use super::{Error, StartAt, TailOptions};
use crate::binlog::{GtidSet, MysqlGtidSet};

const COM_QUERY: u8 = 0x03;
const COM_BINLOG_DUMP: u8 = 0x12;
const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
/// MySQL: what follows is a GTID set.
const THROUGH_GTID: u16 = 0x04;
/// MariaDB: send ANNOTATE_ROWS too; without it they are left out and offsets jump.
const SEND_ANNOTATE_ROWS: u16 = 0x02;
const ER_ACCESS_DENIED: u16 = 1045;
const ER_NEEDS_PRIVILEGE: u16 = 1227;
/// While the quorum is gone nobody reads here; the server must not give the dump up so soon.
const NET_WRITE_TIMEOUT_SECONDS: u32 = 3600;

/// Sets the session up, registers, asks for the dump.
///
/// # Errors
/// [`Error`]; a refusal of the position comes with the first packet of the dump.
pub async fn start_dump(connection: &mut Connection, options: &TailOptions) -> Result<(), Error> {
    let mariadb = connection.is_mariadb();
    let command = dump_command(options, mariadb, &connection.version)?;
    for statement in statements(options, mariadb) {
        let mut payload = vec![COM_QUERY];
        payload.extend_from_slice(statement.as_bytes());
        connection.command("setting the replication session up", &payload).await?;
        connection.expect_ok().await?;
    }
    let mut payload = Vec::new();
    ComRegisterSlave::new(options.server_id).serialize(&mut payload);
    connection.command("registering as a replica", &payload).await?;
    match connection.expect_ok().await {
        Err(error @ Error::Server { code: ER_ACCESS_DENIED | ER_NEEDS_PRIVILEGE, .. }) => {
            let user = options.server.user.clone();
            return Err(Error::MissingPrivilege { user, source: Box::new(error) });
        }
        other => other?,
    }
    connection.command("sending its binlog", &command).await?;
    Ok(())
}

/// User variables by which a replica says what it understands. Both spellings: each server reads its
/// own and keeps the other.
fn statements(options: &TailOptions, mariadb: bool) -> Vec<String> {
    let period = options.heartbeat.as_nanos();
    let uuid: String =
        options.replica_uuid.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let mut statements = vec![
        "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32'".to_owned(),
        format!("SET @master_heartbeat_period={period}, @source_heartbeat_period={period}"),
        format!("SET @slave_uuid='{uuid}', @replica_uuid='{uuid}'"),
        format!("SET SESSION net_write_timeout={NET_WRITE_TIMEOUT_SECONDS}"),
    ];
    if mariadb {
        // 4: GTID events as they are, instead of BEGIN queries in their place.
        statements.push("SET @mariadb_slave_capability=4".to_owned());
        if let StartAt::Gtid(set) = &options.start {
            statements.push(format!("SET @slave_connect_state='{set}'"));
            statements
                .push("SET @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0".to_owned());
        }
    }
    if options.semi_sync {
        statements.push("SET @rpl_semi_sync_slave=1, @rpl_semi_sync_replica=1".to_owned());
    }
    statements
}

fn dump_command(options: &TailOptions, mariadb: bool, version: &str) -> Result<Vec<u8>, Error> {
    match &options.start {
        StartAt::Position(position) => by_position(options.server_id, position, mariadb),
        // MariaDB takes its GTIDs from the session.
        StartAt::Gtid(GtidSet::Mariadb(_)) if mariadb => from_start(options.server_id),
        StartAt::Gtid(set) if mariadb && set.is_empty() => from_start(options.server_id),
        StartAt::Gtid(GtidSet::Mysql(set)) if !mariadb => Ok(by_gtid(options.server_id, set)),
        StartAt::Gtid(set) => {
            let (start, version) = (set.to_string(), version.to_owned());
            Err(Error::WrongFamily { start, version })
        }
    }
}

fn from_start(server_id: u32) -> Result<Vec<u8>, Error> {
    by_position(server_id, &BinlogPosition::new("", BinlogPosition::FIRST_OFFSET), true)
}

fn by_position(server_id: u32, position: &BinlogPosition, mariadb: bool) -> Result<Vec<u8>, Error> {
    let offset = position.offset.max(BinlogPosition::FIRST_OFFSET);
    let offset = u32::try_from(offset).map_err(|_| Error::OffsetTooLarge { offset })?;
    let flags = if mariadb { SEND_ANNOTATE_ROWS } else { 0 };
    let mut command = vec![COM_BINLOG_DUMP];
    command.extend_from_slice(&offset.to_le_bytes());
    command.extend_from_slice(&flags.to_le_bytes());
    command.extend_from_slice(&server_id.to_le_bytes());
    command.extend_from_slice(position.file.as_bytes());
    Ok(command)
}

fn by_gtid(server_id: u32, set: &MysqlGtidSet) -> Vec<u8> {
    let set = set.encode();
    let mut command = vec![COM_BINLOG_DUMP_GTID];
    command.extend_from_slice(&THROUGH_GTID.to_le_bytes());
    command.extend_from_slice(&server_id.to_le_bytes());
    // No file name: the server finds the file.
    command.extend_from_slice(&0_u32.to_le_bytes());
    command.extend_from_slice(&BinlogPosition::FIRST_OFFSET.to_le_bytes());
    command.extend_from_slice(&(set.len() as u32).to_le_bytes());
    command.extend_from_slice(&set);
    command
}
