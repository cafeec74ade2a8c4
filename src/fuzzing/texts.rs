//! What clients and operators hand in as text.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wal::ClusterId;

use crate::config::Config;
use crate::token::Token;

const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);

/// A token's text; and the bytes as what a token is made of, with a right checksum.
pub fn token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read_token(text);
    }
    let mut checked = vec![b'a'];
    checked.extend_from_slice(bytes);
    let crc = crc32fast::hash(&checked).to_be_bytes();
    read_token(&format!("a{}", URL_SAFE_NO_PAD.encode([bytes, &crc].concat())));
}

fn read_token(text: &str) {
    match Token::parse(text, CLUSTER) {
        Ok(token) => assert_eq!(token.to_string(), text, "one spelling only"),
        Err(error) => drop((error.code(), error.to_string())),
    }
}

/// A configuration file. Whatever is wrong with it has a code and a text.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Secrets are read from files that the text names: not from a terminal.
    if text.contains("/dev") || text.contains("\\u") || text.contains("\\U") {
        return;
    }
    let variable = |name: &str| (name != "NONE").then(|| "0123456789abcdef-0123456789".to_owned());
    match Config::parse(text, Path::new("/nonexistent/plimsoll.toml"), &variable) {
        Ok(config) => drop(format!("{config:?}")),
        Err(error) => drop((error.code(), error.to_string())),
    }
}
