//! Where the very first start begins.

use wal::{BinlogPosition, Gtid};

use super::error::Problem;

/// Where the first shipper of a cluster begins in the source's binlog. Later ones go on from the
/// log (I17) and do not look at this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartAt {
    /// The binlog's end at that moment: what is older must already be on the replicas.
    Current,
    /// The oldest binlog file that the server still has.
    Earliest,
    /// A place in a file.
    Position(BinlogPosition),
    /// After this GTID set, in the server's own spelling. Only its outer form is checked here.
    Gtid(String),
}

impl StartAt {
    pub(super) fn parse(text: &str) -> Result<StartAt, Problem> {
        match text {
            "current" => return Ok(StartAt::Current),
            "earliest" => return Ok(StartAt::Earliest),
            _ => {}
        }
        if let Some(position) = parse_position(text) {
            return Ok(StartAt::Position(position));
        }
        if text.len() <= GTID_TEXT_MAX && text.split(',').all(|part| is_gtid(part.trim())) {
            return Ok(StartAt::Gtid(text.to_owned()));
        }
        Err(Problem::Start(text.chars().take(100).collect()))
    }
}

/// A set that was written by hand or copied from a backup is shorter.
const GTID_TEXT_MAX: usize = 1 << 20;

/// `FILE:POS`; a binlog file's name has a number after a dot, which no UUID has.
fn parse_position(text: &str) -> Option<BinlogPosition> {
    let (file, offset) = text.rsplit_once(':')?;
    let (base, number) = file.rsplit_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_graphic() && !b":/\\,".contains(&byte);
    if base.is_empty() || !base.bytes().all(plain) || !digits(number) || !digits(offset) {
        return None;
    }
    let offset = offset.parse().ok().filter(|&offset| offset >= BinlogPosition::FIRST_OFFSET)?;
    Some(BinlogPosition::new(file, offset))
}

/// One `domain-server-sequence`, or one `uuid:…` with intervals and tags.
fn is_gtid(part: &str) -> bool {
    match part.split_once(':') {
        None => part.parse::<Gtid>().is_ok(),
        Some((uuid, rest)) => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_:- ".contains(&byte);
            format!("{uuid}:1").parse::<Gtid>().is_ok()
                && !rest.is_empty()
                && rest.bytes().all(legal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        assert_eq!(StartAt::parse("current").unwrap(), StartAt::Current);
        assert_eq!(StartAt::parse("earliest").unwrap(), StartAt::Earliest);
        let position = BinlogPosition::new("my-bin.000042", 1234);
        assert_eq!(StartAt::parse("my-bin.000042:1234").unwrap(), StartAt::Position(position));
        for gtid in
            ["0-1-100", "0-1-100,1-2-3", &format!("{uuid}:1-30"), &format!("{uuid}:1-3:tag:5")]
        {
            assert_eq!(StartAt::parse(gtid).unwrap(), StartAt::Gtid(gtid.to_owned()));
        }
        for bad in
            ["", "now", "bin.000042", "bin.000042:", "bin.000042:3", "0-1", &format!("{uuid}:")]
        {
            assert!(StartAt::parse(bad).is_err(), "{bad}");
        }
    }
}
