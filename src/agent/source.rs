//! The source's agent: one reign after another.
//!
//! A reign starts with a grant, a fence, an adopted log and a tail that stands exactly behind it (I5 to
//! I7, I17), in this order; `reign` then runs it. Whatever ends it, the next one starts the same way.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wal::{BinlogPosition, Body, EpochStart, SourceContext, Transaction};

use super::guard::Guard;
use super::reign::{self, Begun};
use super::resume::resume;
use super::state::Topic;
use super::tailing::Reader;
use super::{Error, Parts};
use crate::backoff::Backoff;
use crate::cluster::{ErrorClass, Grant, Voter, causes};
use crate::config::AgentServer;
use crate::doctor::{self, Finding, Role, Verdict};
use crate::explain::{Code, Coded};
use crate::log::Standing;
use crate::report::MemberRole;
use crate::server::{self, Session};
use crate::ship::fence::Fencing;
use crate::ship::{self, fetch, message};
use crate::timestamp::TimestampClient;

/// Pauses between starts of a reign.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// After a reign that lasted so long the next one starts soon; one that ends at once, again and again,
/// would only use up epochs.
const STEADY: Duration = Duration::from_secs(10);

/// A server that does not answer a connection attempt.
const CONNECT: Duration = Duration::from_secs(5);

/// SQL sessions to the server, kept open between reigns: waiting COMMITs may use up every connection.
pub(super) struct Sessions {
    /// For positions and for opening the server.
    pub control: Session,
    /// The guard's.
    pub guard: Option<Guard>,
}

/// Runs reigns until `stop`.
///
/// # Errors
/// None that a later attempt could mend; those are alarms, and tried again.
pub(super) async fn run(
    parts: Parts,
    server: AgentServer,
    stop: CancellationToken,
) -> Result<(), Error> {
    let client = || TimestampClient::new(parts.config.timestamps.clone(), parts.identity.clone());
    let mut timestamps = client()?;
    let mut pause = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut sessions = None;
    loop {
        let started = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            ended = one(&parts, &server, &timestamps, &mut sessions, &stop) => ended,
        };
        if started.elapsed() > STEADY {
            pause.reset();
        }
        let Err(error) = ended else { return Ok(()) };
        let text = causes(&error);
        if error.code() == Code::LOG_DAMAGED {
            parts.shared.damage_met();
        }
        match error.class() {
            // The next reign starts at once; it alone says whether it can.
            ErrorClass::Fenced => {
                tracing::warn!(code = %error.code(), error = text, "the reign is over; starting another")
            }
            _ => {
                let alarm = Coded::new(error.code(), format!("COMMITs wait: {text}"));
                parts.shared.alarm(Topic::Source, Some(alarm));
            }
        }
        parts.shared.reign_over();
        if matches!(error, Error::Stamp(_) | Error::Timestamp(_)) {
            // A timestamp server came with a state that is not its own, and this client would refuse
            // the right one as a change.
            timestamps = client()?;
        }
        let log_is_gone = matches!(
            &error,
            Error::Log(error) | Error::Ship(ship::Error::Log(error))
                if error.class() == ErrorClass::Fatal
        );
        if log_is_gone {
            return Err(error);
        }
        parts.shared.phase(MemberRole::Source, "waiting to start again");
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = pause.wait() => {}
        }
    }
}

/// One reign, from the first connection to its end. The sessions stay for the next one, whatever ends
/// this one: their places could go to clients whose COMMITs wait for us.
async fn one(
    parts: &Parts,
    server: &AgentServer,
    timestamps: &TimestampClient,
    sessions: &mut Option<Sessions>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    parts.shared.phase(MemberRole::Source, "connecting to the server");
    let mut open = connected(sessions.take(), server).await?;
    let begun = begin(parts, server, &mut open.control).await;
    match begun {
        Ok(begun) => {
            parts.shared.alarm(Topic::Source, None);
            let (back, ended) = reign::run(parts, timestamps, begun, open, stop).await;
            *sessions = back;
            ended
        }
        Err(error) => {
            *sessions = Some(open);
            Err(error)
        }
    }
}

/// Everything before the reign's first record.
async fn begin(parts: &Parts, server: &AgentServer, control: &mut Session) -> Result<Begun, Error> {
    let end = prepare(control, server).await?;
    let identity = server::identity(control).await?;
    parts.shared.phase(MemberRole::Source, "waiting for an epoch");
    let grant = parts.link.grant(parts.log.incarnation()).await?;
    let epoch = grant.shipper.epoch;
    tracing::info!(%epoch, "granted");
    parts.shared.phase(MemberRole::Source, format!("fencing for epoch {epoch}"));
    let standing = adopt(parts, &grant).await?;
    parts.shared.phase(MemberRole::Source, format!("starting epoch {epoch}"));
    let last = last_transaction(parts, standing.context.as_ref())?;
    let resume = resume(standing.context.as_ref(), last.as_ref(), &identity.uuid)?;
    let mut reader = Reader::new(server.clone(), identity.uuid.clone(), parts.replica_uuid());
    let proved = reader.prove(control, &resume, end).await?;
    let start = EpochStart {
        member: parts.config.name.to_string(),
        server_uuid: identity.uuid,
        server_version: identity.version,
        position: proved.position,
        last_gtid: standing.context.as_ref().and_then(|context| context.last_gtid.clone()),
        end_crc: standing.context.as_ref().and_then(|context| context.end_crc),
        format_description: proved.format_description,
    };
    Ok(Begun { grant, standing, start, reader, from: proved.from })
}

/// The log's last transaction of the server that it follows.
fn last_transaction(
    parts: &Parts,
    context: Option<&SourceContext>,
) -> Result<Option<Transaction>, Error> {
    let Some((lsn, _)) = context.and_then(|context| context.last_transaction.as_ref()) else {
        return Ok(None);
    };
    let record = parts.log.reader().record_at(*lsn).map_err(ship::Error::Read)?;
    Ok(record.and_then(|record| match record.body {
        Body::Transaction(transaction) | Body::ChunkEnd(transaction) => Some(transaction),
        _ => None,
    }))
}

/// Sessions that answer: those of before, or new ones.
async fn connected(kept: Option<Sessions>, server: &AgentServer) -> Result<Sessions, Error> {
    let alive = match kept {
        Some(mut kept) => kept.control.ping().await.is_ok().then_some(kept),
        None => None,
    };
    let mut sessions = match alive {
        Some(kept) => kept,
        None => {
            let control = Session::connect(&server.connection, CONNECT).await?;
            Sessions { control, guard: None }
        }
    };
    if sessions.guard.is_none() {
        sessions.guard = Some(Guard::connect(&server.connection).await?);
    }
    Ok(sessions)
}

/// Makes the server a source, or says why it cannot be one.
///
/// Gives the binlog's end, if COMMITs did not wait for ACKs yet: later, on MariaDB, the question for
/// it waits behind COMMITs that nobody acknowledges before the answer is there.
async fn prepare(
    control: &mut Session,
    server: &AgentServer,
) -> Result<Option<BinlogPosition>, Error> {
    let waits = server::semi_sync(control).await?.is_some_and(|now| now.enabled);
    let end = match waits {
        true => None,
        false => Some(server::binlog_end(control).await?),
    };
    server::enable_semi_sync(control).await?;
    server::create_schema(control).await?;
    // One acknowledging replica may be this agent's own: of a life that was killed, and the server has
    // not noticed yet. A foreign one is the second as soon as the tail is attached, and the guard raises
    // the alarm.
    let facts = doctor::facts(control, &server.connection, Role::Source).await?;
    let (refused, told): (Vec<Finding>, Vec<Finding>) = doctor::quick(&facts)
        .into_iter()
        .filter(|finding| finding.verdict <= Verdict::Warning)
        .partition(|finding| finding.refuses);
    if !refused.is_empty() {
        let (host, port) = (server.connection.host.clone(), server.connection.port);
        let problems: Vec<String> = refused.iter().map(Finding::sentence).collect();
        return Err(Error::NotASource { host, port, problems: problems.join(". ") });
    }
    for finding in told {
        tracing::warn!(code = %Code::SOURCE_WARNING, problem = finding.sentence(), "source check");
    }
    Ok(end)
}

/// Fences, chooses, fetches: this log then is the chosen one, flushed (I5 to I7).
async fn adopt(parts: &Parts, grant: &Grant) -> Result<Standing, Error> {
    let me = Voter { member: parts.config.name.clone(), incarnation: parts.log.incarnation() };
    let own = parts.log.promise(grant.shipper).await?;
    let own = message::Standing { voter: me.clone(), tail: own.tail, epochs: own.epochs };
    let mut fencing = Fencing::start(grant.clone(), own, &parts.identity);
    loop {
        let chosen = {
            let chosen = fencing.chosen();
            tokio::pin!(chosen);
            let patience = tokio::time::sleep(Duration::from_secs(2));
            tokio::pin!(patience);
            tokio::select! {
                chosen = &mut chosen => Some(chosen?),
                () = &mut patience => None,
            }
        };
        let Some(chosen) = chosen else {
            show_missing(parts, &fencing);
            continue;
        };
        parts.shared.alarm(Topic::Quorum, None);
        let from = grant.members.iter().find(|member| member.member == chosen.voter.member);
        let from = from.filter(|_| chosen.voter != me);
        match fetch::adopt(&parts.log, grant.shipper, &chosen, from, &parts.identity).await {
            Ok(()) => {
                tracing::info!(epoch = %grant.shipper.epoch, from = %chosen.voter.member,
                    tail = ?chosen.tail, "adopted");
                return Ok(parts.log.standing().await?);
            }
            Err(error) if error.class() == ErrorClass::Reconnect => {
                tracing::warn!(code = %Code::CHOSEN_LOG_LOST, peer = %chosen.voter.member,
                    error = causes(&error), "the chosen log was lost on the way");
                fencing.lost(&chosen.voter.member);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn show_missing(parts: &Parts, fencing: &Fencing) {
    let missing = fencing.missing();
    let names: Vec<String> = missing
        .iter()
        .map(|(member, trouble)| match trouble {
            Some(trouble) => format!("{member} ({trouble})"),
            None => member.to_string(),
        })
        .collect();
    let text = format!("the new epoch waits for promises; missing: {}", names.join(", "));
    parts.shared.alarm(Topic::Quorum, Some(Coded::new(Code::EPOCH_WAITS, text)));
    parts.shared.change(|state| {
        state.waiting_for = missing.into_iter().map(|(member, _)| member).collect();
    });
}
