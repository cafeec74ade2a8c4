//! HTTP outside the playground: no answer without the credential, at agent and coordinator alike.

use std::process::Output;

use anyhow::{Context, Result, ensure};

use super::authority::Authority;
use super::process::{NAMES, Roles, SOON};
use crate::support::http;
use crate::support::playground::PLIMSOLL;

const TOKEN: &str = "a-token-of-the-tests";
const NEXT: &str = "the-token-of-tomorrow";
const RENEWED: &str = "secrets and certificates renewed";
const KEPT: &str = "what was in force stays";

fn run(test: impl Future<Output = Result<()>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let outcome = runtime.block_on(async { tokio::time::timeout(SOON * 4, test).await });
    outcome.expect("done in time").unwrap_or_else(|error| panic!("{error:#}"));
}

async fn healthy(port: &str) -> bool {
    http::get(port, "/healthz").await.is_ok_and(|(status, _)| status == 200)
}

fn said(output: &Output) -> String {
    let out = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&out).into_owned()
}

/// Status of a request with this token.
async fn with_token(port: &str, token: &str) -> Result<u16> {
    Ok(http::get_with(port, "/v1/status", Some(token)).await?.0)
}

#[test]
fn without_a_credential_no_role_with_a_port_starts() {
    for (http, word) in [
        ("", "asks for no credential"),
        ("[http]\n", "asks for no credential"),
        ("[http]\ntls = { cert = \"c\", key = \"k\" }\n", "asks for no credential"),
        ("[http]\ntoken_file = \"nowhere\"\n", "nowhere"),
    ] {
        let roles = Roles::new(http).expect("a folder");
        for name in NAMES {
            let file = roles.path("plimsoll.toml");
            let output = std::process::Command::new(PLIMSOLL)
                .arg(name)
                .arg("--config")
                .arg(&file)
                .output()
                .expect("starts");
            assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
            assert!(said(&output).contains(word), "{name}, {http}: {}", said(&output));
        }
    }
}

#[test]
fn a_token_is_asked_for_and_changed_while_they_run() {
    run(async {
        let mut roles = Roles::new("[http]\ntoken_file = \"http-token\"\n")?;
        roles.start(healthy).await?;
        for port in &roles.ports {
            for path in ["/v1/status", "/metrics", "/v1/throttle", "/v1/nothing"] {
                ensure!(http::get(port, path).await?.0 == 401, "{path} without a token");
            }
            ensure!(with_token(port, "another-token-of-it").await? == 401, "a wrong token");
            ensure!(with_token(port, TOKEN).await? == 200, "the right token");
        }
        let status = ["status", "--coordinator", &roles.ports[0]];
        let (token, config) = (roles.path("http-token"), roles.path("plimsoll.toml"));
        let refused = said(&roles.plimsoll(&status, &[])?);
        ensure!(refused.contains("--token-file"), "{refused}");
        for files in [("--token-file", token.as_path()), ("--config", &config)] {
            let shown = said(&roles.plimsoll(&status, &[files])?);
            ensure!(shown.contains("cluster roles"), "{files:?}: {shown}");
        }

        for (lines, old, new) in [(vec![NEXT, TOKEN], 200, 200), (vec![NEXT], 401, 200)] {
            roles.write("http-token", &lines.join("\n"))?;
            roles.hang_up(RENEWED).await?;
            for port in &roles.ports {
                let now = (with_token(port, TOKEN).await?, with_token(port, NEXT).await?);
                ensure!(now == (old, new), "{lines:?}: {now:?}");
            }
        }
        roles.write("http-token", "short")?;
        roles.hang_up(KEPT).await?;
        ensure!(with_token(&roles.ports[1], NEXT).await? == 200, "kept after a bad file");
        Ok(())
    });
}

#[test]
fn mutual_tls_is_asked_for_and_certificates_are_renewed() {
    run(async {
        let tls = "[http]\ntls = { cert = \"p.pem\", key = \"p.key\", client_ca = \"ca.pem\" }\n";
        let mut roles = Roles::new(tls)?;
        let authority = Authority::new(&roles, "ca")?;
        authority.sign(&roles, "p", 90)?;
        authority.sign(&roles, "stranger", 90)?;
        Authority::new(&roles, "other-ca")?.sign(&roles, "stranger", 90)?;
        roles.start(async |port| tokio::net::TcpStream::connect(port).await.is_ok()).await?;
        let file = |name: &str| roles.path(name);
        let ask = |certificate: &str| -> Result<String> {
            let (cert, key) = (format!("{certificate}.pem"), format!("{certificate}.key"));
            let files = [("--ca", file("ca.pem")), ("--cert", file(&cert)), ("--key", file(&key))];
            let files: Vec<_> = files.iter().map(|(flag, path)| (*flag, path.as_path())).collect();
            let status = ["status", "--json", "--coordinator", &roles.ports[0]];
            Ok(said(&roles.plimsoll(&status, &files)?))
        };
        let days_left = |shown: &str| -> Result<i64> {
            let status: serde_json::Value =
                serde_json::from_str(shown).context(shown.to_owned())?;
            let of_server = &status["certificates"][0];
            ensure!(of_server["key"] == "http.tls.cert", "{shown}");
            of_server["days_left"].as_i64().context("no days")
        };
        let shown = ask("p")?;
        ensure!((88..=90).contains(&days_left(&shown)?), "{shown}");
        let refused = ask("stranger")?;
        ensure!(refused.contains("ask the coordinator"), "a foreign certificate: {refused}");
        let ca_only = [("--ca", file("ca.pem"))];
        for port in &roles.ports {
            let status = ["status", "--coordinator", port];
            let files: Vec<_> =
                ca_only.iter().map(|(flag, path)| (*flag, path.as_path())).collect();
            let refused = said(&roles.plimsoll(&status, &files)?);
            ensure!(refused.contains("ask the coordinator"), "no certificate: {refused}");
            ensure!(http::get(port, "/v1/status").await.is_err(), "plain HTTP was answered");
        }

        authority.sign(&roles, "p", 5)?;
        roles.hang_up(RENEWED).await?;
        let shown = ask("p")?;
        ensure!((3..=5).contains(&days_left(&shown)?), "{shown}");
        ensure!(shown.contains("expires in"), "no alarm: {shown}");
        roles.write("p.pem", "no certificate\n")?;
        roles.hang_up(KEPT).await?;
        authority.sign(&roles, "client", 5)?;
        ensure!(days_left(&ask("client")?).is_ok(), "kept after a bad file");
        Ok(())
    });
}
