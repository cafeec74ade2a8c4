//! Messages between members: `schemas/wire.md`, section "Member messages".
//!
//! Rare ones are JSON, so that a later version may add fields; the two hot ones, Append and Report,
//! are fixed little-endian bytes.

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};
use wal::{Epoch, Frame, FrameHeader, LogPoint, Lsn, MAX_FRAME_RAW, Timestamp};

use crate::cluster::{GrantId, Shipper, Voter};

/// Bytes of frames joined into one message; one larger frame still goes, alone.
pub const MESSAGE_BYTES: usize = 1 << 20;

/// The largest message of a member that has proved the secret: one frame of the greatest size.
pub const LIMIT: usize = MAX_FRAME_RAW as usize + (2 << 20);

/// Kinds 32 to 63 of the wire are these.
pub mod kind {
    /// JSON [`super::Ask`]: promise to this shipper.
    pub const PROMISE: u8 = 32;
    /// JSON [`super::Standing`]: promised; this is my log.
    pub const PROMISED: u8 = 33;
    /// JSON [`crate::log::Refusal`]: to a promise, an attach or an append.
    pub const REFUSED: u8 = 34;
    /// JSON [`super::Fetch`]: send me these frames.
    pub const FETCH: u8 = 35;
    /// One raw frame.
    pub const FRAME: u8 = 36;
    /// Empty: the fetch is complete.
    pub const FETCHED: u8 = 37;
    /// JSON [`super::Ask`]: frames of this shipper will follow.
    pub const ATTACH: u8 = 38;
    /// JSON [`super::Standing`]: this is my log; begin behind what we share.
    pub const ATTACHED: u8 = 39;
    /// [`super::AppendHead`], then raw frames.
    pub const APPEND: u8 = 40;
    /// [`super::Report`].
    pub const REPORT: u8 = 41;
    /// [`wal::Beginning`]: this shipper's log begins behind this; an empty one begins there too.
    pub const BEGIN: u8 = 42;
    /// Empty: it does.
    pub const BEGUN: u8 = 43;
}

/// A request in the name of a shipper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who asks.
    pub shipper: Shipper,
    /// Report at once what is applied, since COMMITs wait for it; else with the next report.
    #[serde(default = "yes")]
    pub applied_at_once: bool,
}

fn yes() -> bool {
    true
}

/// A member's identity and its log: what is flushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Name and log folder (I16).
    pub voter: Voter,
    /// The last record.
    pub tail: Option<LogPoint>,
    /// The last record of each epoch.
    pub epochs: Vec<LogPoint>,
}

/// A request for frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// First record wanted.
    pub from: Lsn,
    /// Last record wanted.
    pub to: Lsn,
}

/// What stands before the frames of an Append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendHead {
    /// Who ships.
    pub shipper: Shipper,
    /// The shipper's commit point.
    pub commit: Option<Lsn>,
    /// The record that the first frame follows.
    pub before: Option<LogPoint>,
}

impl AppendHead {
    /// Bytes of a head.
    pub const LEN: usize = 4 + 8 + 8 + 4 + 8;

    /// As sent: epoch u32, grant u64, commit u64 (0: none), before's epoch u32 (0: none) and LSN u64.
    pub fn encode(&self) -> [u8; AppendHead::LEN] {
        let mut bytes = [0; AppendHead::LEN];
        let mut out = &mut bytes[..];
        out.put_u32_le(self.shipper.epoch.get());
        out.put_u64_le(self.shipper.grant.0);
        out.put_u64_le(self.commit.map_or(0, Lsn::get));
        out.put_u32_le(self.before.map_or(0, |point| point.epoch.get()));
        out.put_u64_le(self.before.map_or(0, |point| point.lsn.get()));
        bytes
    }
}

/// Takes an Append apart; each frame's checksums are checked.
///
/// # Errors
/// The reason, for a message that is cut short or carries a damaged frame.
pub fn decode_append(mut body: Bytes) -> Result<(AppendHead, Vec<Frame>), String> {
    if body.len() < AppendHead::LEN {
        return Err(format!("{} bytes are no append head", body.len()));
    }
    let shipper = get_shipper(&mut body)?;
    let commit = Lsn::new(body.get_u64_le());
    let (epoch, lsn) = (Epoch::new(body.get_u32_le()), Lsn::new(body.get_u64_le()));
    let before = match (epoch, lsn) {
        (Some(epoch), Some(lsn)) => Some(LogPoint { epoch, lsn }),
        (None, None) => None,
        _ => return Err("half a log point".to_owned()),
    };
    let mut frames = Vec::new();
    while body.has_remaining() {
        let header = FrameHeader::decode(&body).map_err(|error| error.to_string())?;
        let length = usize::try_from(header.frame_len()).map_err(|error| error.to_string())?;
        if length > body.len() {
            return Err(format!("a frame of {length} bytes is cut to {}", body.len()));
        }
        let frame = Frame::decode(body.split_to(length));
        frames.push(frame.map_err(|error| error.to_string())?);
    }
    Ok((AppendHead { shipper, commit, before }, frames))
}

fn get_shipper(body: &mut Bytes) -> Result<Shipper, String> {
    let epoch = Epoch::new(body.get_u32_le()).ok_or("epoch 0")?;
    Ok(Shipper { epoch, grant: GrantId(body.get_u64_le()) })
}

/// A member's progress, to the shipper for whom it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// To whom.
    pub shipper: Shipper,
    /// Fsynced and matched with this shipper.
    pub flushed: Option<Lsn>,
    /// Applied to the member's server.
    pub applied: Option<Lsn>,
    /// The timestamp of the last applied record.
    pub applied_timestamp: Option<Timestamp>,
}

impl Report {
    /// Bytes of a report.
    pub const LEN: usize = 4 + 8 + 8 + 8 + 8;

    /// As sent: epoch u32, grant u64, then flushed, applied and its timestamp as u64 (0: none).
    pub fn encode(&self) -> [u8; Report::LEN] {
        let mut bytes = [0; Report::LEN];
        let mut out = &mut bytes[..];
        out.put_u32_le(self.shipper.epoch.get());
        out.put_u64_le(self.shipper.grant.0);
        out.put_u64_le(self.flushed.map_or(0, Lsn::get));
        out.put_u64_le(self.applied.map_or(0, Lsn::get));
        out.put_u64_le(self.applied_timestamp.map_or(0, Timestamp::bits));
        bytes
    }

    /// From its bytes.
    ///
    /// # Errors
    /// The reason, for any other number of bytes.
    pub fn decode(mut body: Bytes) -> Result<Report, String> {
        if body.len() != Report::LEN {
            return Err(format!("{} bytes are no report", body.len()));
        }
        Ok(Report {
            shipper: get_shipper(&mut body)?,
            flushed: Lsn::new(body.get_u64_le()),
            applied: Lsn::new(body.get_u64_le()),
            applied_timestamp: Timestamp::from_bits(body.get_u64_le()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shipper() -> Shipper {
        Shipper { epoch: Epoch::new(7).unwrap(), grant: GrantId(u64::MAX - 3) }
    }

    #[test]
    fn heads_and_reports_come_back_as_they_went() {
        let point = LogPoint { epoch: Epoch::new(6).unwrap(), lsn: Lsn::new(41).unwrap() };
        for (commit, before) in [(None, None), (Lsn::new(40), Some(point))] {
            let head = AppendHead { shipper: shipper(), commit, before };
            let (back, frames) = decode_append(Bytes::copy_from_slice(&head.encode())).unwrap();
            assert_eq!((back, frames.len()), (head, 0));
        }
        let report = Report {
            shipper: shipper(),
            flushed: Lsn::new(9),
            applied: None,
            applied_timestamp: Timestamp::new(5, 1),
        };
        assert_eq!(Report::decode(Bytes::copy_from_slice(&report.encode())), Ok(report));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_append(Bytes::from(bytes.clone()));
            let _ = Report::decode(Bytes::from(bytes));
        }
    }
}
