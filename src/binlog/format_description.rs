//! FORMAT_DESCRIPTION: how the events behind it are laid out.

use super::event::{body_of, check_len, verify_crc};
use super::reader::Reader;
use super::{Checksum, Error, EventHeader, EventKind};

/// The parts of a FORMAT_DESCRIPTION event that reading depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatDescription {
    /// 4 since MySQL 5.0.
    pub binlog_version: u16,
    /// Version text of the server that wrote the file.
    pub server_version: String,
    /// Seconds since 1970 when the server started; 0 unless this is its first file, or artificial.
    pub created: u32,
    /// Length of the fixed part of each type's body, from type 1.
    pub post_header_lens: Vec<u8>,
    /// Whether the events of the file end with a CRC32.
    pub checksum: Checksum,
}

const VERSION_LEN: usize = 50;
const CREATED: std::ops::Range<usize> = 52..56;

impl FormatDescription {
    /// From the raw event. It ends with a CRC32 whatever it says of the others; that is compared too.
    ///
    /// # Errors
    /// [`Error::Checksum`], [`Error::Length`], [`Error::Truncated`]; [`Error::Malformed`] for a binlog
    /// version other than 4 or an unknown checksum algorithm.
    pub fn decode(raw: &[u8]) -> Result<FormatDescription, Error> {
        let header = EventHeader::decode(raw)?;
        check_len(&header, raw.len())?;
        verify_crc(&header, raw, Checksum::Crc32)?;
        let mut reader = Reader::new(body_of(raw, Checksum::Crc32)?, "FORMAT_DESCRIPTION");
        let binlog_version = reader.u16()?;
        let server_version = reader.take(VERSION_LEN)?;
        let created = reader.u32()?;
        let header_len = reader.u8()?;
        let (&algorithm, post_header_lens) =
            reader.rest().split_last().ok_or(reader.malformed())?;
        let known = header.kind == EventKind::FORMAT_DESCRIPTION
            && binlog_version == 4
            && usize::from(header_len) == EventHeader::LEN;
        let checksum = match algorithm {
            0 => Checksum::None,
            1 => Checksum::Crc32,
            _ => return Err(reader.malformed()),
        };
        if !known {
            return Err(reader.malformed());
        }
        let end = server_version.iter().position(|&byte| byte == 0).unwrap_or(VERSION_LEN);
        Ok(FormatDescription {
            binlog_version,
            server_version: String::from_utf8_lossy(&server_version[..end]).into_owned(),
            created,
            post_header_lens: post_header_lens.to_vec(),
            checksum,
        })
    }

    /// `true` if two raw events describe the same layout by the same server version: equal but for
    /// the header, the start time and the checksum, which change with every file and every dump.
    pub fn same_layout(one: &[u8], other: &[u8]) -> bool {
        let parts = |raw| {
            let body = body_of(raw, Checksum::Crc32).ok()?;
            Some((body.get(..CREATED.start)?, body.get(CREATED.end..)?))
        };
        match (parts(one), parts(other)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        }
    }
}
