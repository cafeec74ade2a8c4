//! Free TCP ports on the loopback address.
//!
//! They are taken from below the range that the kernel gives to outgoing connections: a port that was
//! free once stays free while a child is down between a kill and its restart.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};
use rand::RngExt;

/// Below this live the well-known services of the machine.
const LOWEST: u16 = 10_000;
/// If the kernel's own range reaches down too far, at least this much above `LOWEST` is used anyway.
const SPAN_MIN: u16 = 5_000;

/// Ports that are held until their users start.
#[derive(Debug, Default)]
pub struct Reserved {
    held: BTreeMap<u16, TcpListener>,
}

impl Reserved {
    /// Takes one more free port and holds it.
    ///
    /// # Errors
    /// Nearly every port is taken.
    pub fn take(&mut self) -> Result<u16> {
        let highest = ephemeral_start().unwrap_or(32_768).max(LOWEST + SPAN_MIN);
        for _ in 0..10_000 {
            let port = rand::rng().random_range(LOWEST..highest);
            if self.held.contains_key(&port) {
                continue;
            }
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                self.held.insert(port, listener);
                return Ok(port);
            }
        }
        bail!("no free TCP port between {LOWEST} and {highest} on 127.0.0.1")
    }

    /// Lets go, right before the port's user starts.
    pub fn release(&mut self, ports: &[u16]) {
        self.held.retain(|port, _| !ports.contains(port));
    }
}

fn ephemeral_start() -> Option<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_ports_differ_and_can_be_had_after_release() {
        let mut reserved = Reserved::default();
        let ports: Vec<u16> = (0..40).map(|_| reserved.take().expect("a port")).collect();
        let mut distinct = ports.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ports.len());
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).is_err());
        reserved.release(&ports[..1]);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).is_ok());
    }
}
