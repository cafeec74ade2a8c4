//! How an XA transaction is named, the same from its event and from the servers' statements.

use super::XaPrepare;

impl XaPrepare {
    /// As the servers write it in their statements, in lower case: `x'6964',x'',1`.
    pub fn xid(&self) -> String {
        xid_text(&self.gtrid, &self.bqual, u64::from(self.format_id))
    }
}

/// The same, from an id's parts.
pub fn xid_text(global: &[u8], branch: &[u8], format: u64) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("x'{}',x'{}',{format}", hex(global), hex(branch))
}

/// The id in `XA COMMIT X'6964',X'',1`.
pub fn xid_of_statement(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut words = text.splitn(3, ' ');
    let id = words.nth(2).unwrap_or_default();
    id.chars().filter(|letter| !letter.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_xa_id_is_the_same_from_event_and_statement() {
        let xa =
            XaPrepare { one_phase: false, format_id: 1, gtrid: b"x1".to_vec(), bqual: Vec::new() };
        assert_eq!(xa.xid(), "x'7831',x'',1");
        assert_eq!(xid_of_statement(b"XA COMMIT X'7831',X'',1"), xa.xid());
    }
}
