//! `host:port`, and lists of it.

use super::error::Problem;

/// Checks the form `host:port`; IPv6 hosts stand in brackets.
pub(super) fn check(address: &str) -> Result<(), Problem> {
    let bad = || Problem::Address(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let legal = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
    };
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port);
    let port = port.and_then(|port| port.parse::<u16>().ok()).unwrap_or(0);
    if !legal || port == 0 { Err(bad()) } else { Ok(()) }
}

/// Checks every address of a list, and that none stands there twice.
pub(super) fn check_list(addresses: &[String]) -> Result<(), Problem> {
    for (index, address) in addresses.iter().enumerate() {
        check(address)?;
        if addresses[..index].contains(address) {
            return Err(Problem::Twice(address.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for good in ["127.0.0.1:7001", "db-1.example:1", "localhost:65535", "[::1]:7001"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["", "7001", ":7001", "h:", "h:0", "h:65536", "h:+1", "::1:7001", "a b:1", "[x]:1"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn twice() {
        let list = ["a:1".to_owned(), "b:1".to_owned(), "a:1".to_owned()];
        assert!(check_list(&list).is_err());
        assert!(check_list(&list[..2]).is_ok());
    }
}
