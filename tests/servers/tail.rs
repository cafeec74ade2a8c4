//! The replication client by itself: logins, TLS, starts, semi-sync, large packets, refusals.

use std::path::Path;
use std::process::Command;

use crate::support::tail_checks::{self, Target};
use crate::support::{
    Context, Family, Playground, Result, Signal, bail, ensure, on_both_families, sql,
};

on_both_families!(the_replication_client);

/// Against a server of the playground whose agent is dead, so that nobody else is attached.
async fn the_replication_client(family: Family) -> Result<()> {
    let play = Playground::start(family).await?;
    play.signal("s1-agent", Signal::Kill).await?;
    if family == Family::Mariadb {
        // MySQL makes itself certificates.
        give_certificates(&play)?;
        play.restart("s1").await?;
    }
    let server = play.server("s1")?;
    sql::unprotect(&server, family).await?;
    sql::run(&server, &["SET GLOBAL read_only = 0"]).await?;
    let target = Target {
        host: server.host.clone(),
        port: server.port,
        user: server.user.clone(),
        password: server.password.clone(),
        family,
    };
    if let Err(error) = tail_checks::all(&target).await {
        bail!("{error}");
    }
    play.end().await
}

/// A certificate authority and a certificate for 127.0.0.1, in the configuration of s1.
fn give_certificates(play: &Playground) -> Result<()> {
    let conf = play.dir().join("conf");
    openssl(
        &conf,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca-key.pem \
         -out ca.pem",
    )?;
    openssl(
        &conf,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=s1 -addext \
         subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
         -CA ca.pem -CAkey ca-key.pem -keyout key.pem -out cert.pem",
    )?;
    let file = conf.join("s1.cnf");
    let mut options = std::fs::read_to_string(&file).context("read s1.cnf")?;
    for (option, name) in [("ssl-ca", "ca.pem"), ("ssl-cert", "cert.pem"), ("ssl-key", "key.pem")] {
        options += &format!("{option}={}\n", conf.join(name).display());
    }
    std::fs::write(&file, options).context("write s1.cnf")
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(folder);
    let done = command.output().context("start openssl: is it installed?")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "openssl {arguments}: {said}");
    Ok(())
}
