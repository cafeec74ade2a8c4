//! The session of a QUERY event.

use super::reader::Reader;
use super::{Error, MariadbGtidEvent};

/// `character_set_client`, `collation_connection`, `collation_server`, as collation ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryCharset {
    /// Of the statement's text.
    pub client: u16,
    /// Of its literals.
    pub connection: u16,
    /// Default of new databases.
    pub server: u16,
}

/// The status variables of a QUERY event. `None`: the server did not write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusVars<'a> {
    /// OPTION_ bits: auto_is_null, foreign_key_checks and unique_checks off, autocommit off, and
    /// MariaDB's own.
    pub flags2: Option<u32>,
    /// `sql_mode` bits of the server's family.
    pub sql_mode: Option<u64>,
    /// `std`, always.
    pub catalog: Option<&'a [u8]>,
    /// `auto_increment_increment`, `auto_increment_offset`.
    pub auto_increment: Option<(u16, u16)>,
    /// Character sets.
    pub charset: Option<QueryCharset>,
    /// `time_zone`, where the statement depends on it.
    pub time_zone: Option<&'a [u8]>,
    /// Number of `lc_time_names`.
    pub lc_time_names: Option<u16>,
    /// `collation_database`.
    pub collation_database: Option<u16>,
    /// Tables of a multi-table update, bits.
    pub table_map_for_update: Option<u64>,
    /// Bytes that the master wrote (never used).
    pub master_data_written: Option<u32>,
    /// User and host of a definer.
    pub invoker: Option<(&'a [u8], &'a [u8])>,
    /// Databases that it touched; empty also where they were too many to list.
    pub updated_databases: Vec<&'a [u8]>,
    /// Fraction of the timestamp, microseconds.
    pub microseconds: Option<u32>,
    /// `explicit_defaults_for_timestamp` (MySQL).
    pub explicit_defaults_for_timestamp: Option<bool>,
    /// Transaction number of an atomic DDL (MySQL).
    pub ddl_xid: Option<u64>,
    /// `default_collation_for_utf8mb4` (MySQL).
    pub default_collation_for_utf8mb4: Option<u16>,
    /// `sql_require_primary_key` (MySQL).
    pub sql_require_primary_key: Option<u8>,
    /// `default_table_encryption` (MySQL).
    pub default_table_encryption: Option<u8>,
    /// `enable_cascade_triggers` (MySQL 9.7 and later).
    pub enable_cascade_triggers: Option<bool>,
    /// Transaction number of an atomic DDL (MariaDB).
    pub mariadb_xid: Option<u64>,
    /// Extra GTID flags of a two-phase ALTER (MariaDB).
    pub mariadb_gtid_flags: Option<u8>,
    /// `character_set_collations`: character set id to collation id (MariaDB).
    pub character_set_collations: Vec<(u16, u16)>,
}

/// Count that stands for "too many to list"; no names follow.
const TOO_MANY_DATABASES: u8 = 254;

impl<'a> StatusVars<'a> {
    /// As [`super::MariadbGtidEvent::announces_alter`], said again with the statement.
    pub fn announces_alter(&self) -> bool {
        let bits = MariadbGtidEvent::EXTRA_START_ALTER | MariadbGtidEvent::EXTRA_ROLLBACK_ALTER;
        self.mariadb_gtid_flags.is_some_and(|flags| flags & bits != 0)
    }

    /// From their bytes in a QUERY event.
    ///
    /// # Errors
    /// [`Error::UnknownStatusVar`], [`Error::Truncated`].
    pub fn decode(bytes: &'a [u8]) -> Result<StatusVars<'a>, Error> {
        let mut reader = Reader::new(bytes, "status variables of QUERY");
        let mut vars = StatusVars::default();
        while !reader.is_empty() {
            match reader.u8()? {
                code @ 0..=12 => vars.decode_old(code, &mut reader)?,
                code => vars.decode_new(code, &mut reader)?,
            }
        }
        Ok(vars)
    }

    /// Those of MySQL 5.x, which both families write.
    fn decode_old(&mut self, code: u8, reader: &mut Reader<'a>) -> Result<(), Error> {
        match code {
            0 => self.flags2 = Some(reader.u32()?),
            1 => self.sql_mode = Some(reader.u64()?),
            2 => {
                self.catalog = Some(short_text(reader)?);
                reader.take(1)?;
            }
            3 => self.auto_increment = Some((reader.u16()?, reader.u16()?)),
            4 => {
                let (client, connection) = (reader.u16()?, reader.u16()?);
                self.charset = Some(QueryCharset { client, connection, server: reader.u16()? });
            }
            5 => self.time_zone = Some(short_text(reader)?),
            6 => self.catalog = Some(short_text(reader)?),
            7 => self.lc_time_names = Some(reader.u16()?),
            8 => self.collation_database = Some(reader.u16()?),
            9 => self.table_map_for_update = Some(reader.u64()?),
            10 => self.master_data_written = Some(reader.u32()?),
            11 => self.invoker = Some((short_text(reader)?, short_text(reader)?)),
            _ => {
                let count = reader.u8()?;
                if count != TOO_MANY_DATABASES {
                    for _ in 0..count {
                        self.updated_databases.push(reader.until_nul()?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Later ones; those of MariaDB have numbers from 128.
    fn decode_new(&mut self, code: u8, reader: &mut Reader<'a>) -> Result<(), Error> {
        match code {
            13 | 128 => self.microseconds = Some(reader.uint(3)? as u32),
            14 | 15 => {}
            16 => self.explicit_defaults_for_timestamp = Some(reader.u8()? != 0),
            17 => self.ddl_xid = Some(reader.u64()?),
            18 => self.default_collation_for_utf8mb4 = Some(reader.u16()?),
            19 => self.sql_require_primary_key = Some(reader.u8()?),
            20 => self.default_table_encryption = Some(reader.u8()?),
            21 => self.enable_cascade_triggers = Some(reader.u8()? != 0),
            129 => self.mariadb_xid = Some(reader.u64()?),
            130 => {
                let flags = reader.u8()?;
                self.mariadb_gtid_flags = Some(flags);
                // COMMIT ALTER and ROLLBACK ALTER carry the number of their START ALTER.
                if flags & 0x0c != 0 {
                    reader.u64()?;
                }
            }
            131 => {
                for _ in 0..reader.u8()? {
                    self.character_set_collations.push((reader.u16()?, reader.u16()?));
                }
            }
            unknown => return Err(Error::UnknownStatusVar(unknown)),
        }
        Ok(())
    }
}

fn short_text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let len = reader.u8()?;
    reader.take(usize::from(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MariaDB 10.11 writes them: the flags are one byte.
    #[test]
    fn halves_of_a_two_phase_alter() {
        let begins = StatusVars::decode(&[130, 2]).unwrap();
        assert!(begins.announces_alter());
        let ends = StatusVars::decode(&[130, 4, 7, 0, 0, 0, 0, 0, 0, 0, 7, 3, 0]).unwrap();
        assert!(!ends.announces_alter());
        assert_eq!(ends.lc_time_names, Some(3));
        let undone = StatusVars::decode(&[130, 8, 7, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert!(undone.announces_alter());
        assert!(StatusVars::decode(&[130, 4, 7]).is_err());
        assert!(!StatusVars::decode(&[]).unwrap().announces_alter());
    }
}
