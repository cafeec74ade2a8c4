//! The change feed over HTTP, and its named consumers.
//!
//! `GET /v1/changes?consumer=NAME&from=TOKEN|earliest|latest&tables=db.t,db.*`: lines for ever;
//! `POST /v1/consumers/NAME` `{"token": …}` acknowledges, `GET /v1/consumers` lists, `DELETE` removes.
//! A feed that ends for a reason says it in its last line: `{"error": …, "code": …}`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::io::ReaderStream;
use wal::{Find, Lsn};

use super::Parts;
use super::http::refuse;
use crate::cluster::{ConsumerName, causes};
use crate::explain::Code;
use crate::feed::{Feed, Tables};
use crate::http::Busy;
use crate::report::{self, Consumer, ConsumerAsk};
use crate::token::Token;

/// Between the feed and the socket.
const BUFFER: usize = 64 << 10;
/// A piece of that size that is not taken within so long ends the feed.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// Why not.
struct Refused {
    status: StatusCode,
    code: Code,
    text: String,
}

impl Refused {
    fn new(status: StatusCode, code: Code, text: impl ToString) -> Refused {
        Refused { status, code, text: text.to_string() }
    }

    fn into_response(self) -> Response {
        refuse(self.status, self.code, self.text)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    consumer: Option<String>,
    from: Option<String>,
    tables: Option<String>,
}

/// Lines from a consumer's place on, or from `from` on.
pub(super) async fn changes(
    State(parts): State<Parts>,
    Extension(busy): Extension<Arc<Busy>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    match begin(&parts, asked).await {
        Ok(feed) => {
            let (read, write) = tokio::io::duplex(BUFFER);
            tokio::spawn(hand_on(feed, write, busy));
            let body = Body::from_stream(ReaderStream::with_capacity(read, BUFFER));
            ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

async fn begin(
    parts: &Parts,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Feed, Refused> {
    let Query(Asked { consumer, from, tables }) = asked.map_err(|error| bad(error.body_text()))?;
    let tables: Option<Result<Tables, _>> = tables.as_deref().map(str::parse);
    let tables = tables.transpose().map_err(bad)?.unwrap_or_default();
    let consumer = consumer.map(name).transpose()?;
    let behind = match &consumer {
        None => {
            let from = from.ok_or_else(|| bad("say from=TOKEN, earliest or latest"))?;
            behind(parts, &from).await?
        }
        Some(name) => place(parts, name, from.as_deref()).await?.acknowledged,
    };
    let (log, feeds) = (parts.log.clone(), parts.feeds.clone());
    let opening = tokio::task::spawn_blocking(move || {
        feeds.open(log.reader().clone(), log.visible(), behind, tables)
    });
    let opened = opening.await.map_err(|_| broken_off())?;
    opened.map_err(|error| {
        let status = match error.code() {
            Code::LOG_GONE => StatusCode::GONE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refused::new(status, error.code(), causes(&error))
    })
}

/// Where a consumer goes on; a new one is made where `from` says.
async fn place(
    parts: &Parts,
    name: &ConsumerName,
    from: Option<&str>,
) -> Result<Consumer, Refused> {
    let ask = async |ask| parts.link.consumer(ask).await.map_err(no_answer);
    let known = ask(ConsumerAsk::Find { name: name.clone() }).await?;
    if let Some(known) = known.into_iter().next() {
        return Ok(known);
    }
    let Some(from) = from else {
        let text = format!("{name} is new: say from=TOKEN, earliest or latest");
        return Err(Refused::new(StatusCode::NOT_FOUND, Code::CONSUMER, text));
    };
    let behind = behind(parts, from).await?;
    let made = ask(ConsumerAsk::Open { name: name.clone(), behind }).await?;
    made.into_iter().next().ok_or_else(broken_off)
}

/// The record behind which a feed begins.
async fn behind(parts: &Parts, from: &str) -> Result<Option<Lsn>, Refused> {
    match from {
        "earliest" => Ok(parts.log.reader().first_lsn().and_then(Lsn::previous)),
        "latest" => {
            let visible = parts.log.progress().borrow().visible;
            let unknown = || {
                let text = "this member does not know yet what is committed: ask again";
                Refused::new(StatusCode::SERVICE_UNAVAILABLE, Code::CONSUMER, text)
            };
            visible.map(Some).ok_or_else(unknown)
        }
        token => covered(parts, token).await.map(|(_, lsn)| lsn),
    }
}

/// The last record that a token covers. It is visible here.
async fn covered(parts: &Parts, text: &str) -> Result<(Token, Option<Lsn>), Refused> {
    let token = Token::parse(text, parts.log.cluster())
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error.code(), error))?;
    let reader = parts.log.reader().clone();
    let finding = tokio::task::spawn_blocking(move || {
        let found = reader.find(&Find::Timestamp(token.timestamp))?;
        let record = found.map(|lsn| reader.record_at(lsn)).transpose()?.flatten();
        Ok::<_, wal::Error>(record.map(|record| (record.lsn, record.timestamp)))
    });
    let found = finding.await.map_err(|_| broken_off())?.map_err(|error| {
        Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            crate::explain::of_log(&error),
            causes(&error),
        )
    })?;
    let late = || {
        let text = format!("{} has not got what this token covers yet", parts.config.name);
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, Code::REPLICA_LATE, text)
    };
    // The first record of that time or a later one: an earlier time is covered by the one before.
    let (lsn, timestamp) = found.ok_or_else(late)?;
    let covered = if timestamp == token.timestamp { Some(lsn) } else { lsn.previous() };
    let visible = parts.log.progress().borrow().visible;
    if covered > visible { Err(late()) } else { Ok((token, covered)) }
}

/// From the feed to the socket, until either ends. `busy` keeps the connection from counting as idle.
async fn hand_on(mut feed: Feed, mut write: DuplexStream, _busy: Arc<Busy>) {
    while let Some(chunk) = feed.chunks.recv().await {
        let (chunk, last) = match chunk {
            Ok(chunk) => (chunk, false),
            Err(error) => {
                let why = json!({ "error": causes(&error), "code": error.code() });
                (Bytes::from(format!("{why}\n")), true)
            }
        };
        for piece in chunk.chunks(BUFFER) {
            let taken = tokio::time::timeout(TAKEN_WITHIN, write.write_all(piece)).await;
            if !matches!(taken, Ok(Ok(()))) {
                return;
            }
        }
        if last {
            return;
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledged {
    token: String,
}

/// Durable when it is answered.
pub(super) async fn acknowledge(
    State(parts): State<Parts>,
    Path(consumer): Path<String>,
    body: Result<Json<Acknowledged>, JsonRejection>,
) -> Response {
    let done = async {
        let name = name(consumer)?;
        let Json(Acknowledged { token }) = body.map_err(|error| bad(error.body_text()))?;
        let (token, lsn) = covered(&parts, &token).await?;
        let lsn = lsn.ok_or_else(|| bad("this token covers nothing of the log"))?;
        let ask = ConsumerAsk::Acknowledge { name, lsn, token: token.to_string() };
        let now = parts.link.consumer(ask).await.map_err(no_answer)?;
        now.into_iter().next().ok_or_else(broken_off)
    };
    done.await
        .map_or_else(Refused::into_response, |consumer: Consumer| Json(consumer).into_response())
}

pub(super) async fn list(State(parts): State<Parts>) -> Response {
    match parts.link.consumer(ConsumerAsk::List).await {
        Ok(consumers) => Json(json!({ "consumers": consumers })).into_response(),
        Err(error) => no_answer(error).into_response(),
    }
}

pub(super) async fn remove(State(parts): State<Parts>, Path(consumer): Path<String>) -> Response {
    let done = async {
        let name = name(consumer)?;
        parts.link.consumer(ConsumerAsk::Remove { name }).await.map_err(no_answer)
    };
    done.await.map_or_else(Refused::into_response, |_| StatusCode::NO_CONTENT.into_response())
}

fn name(text: String) -> Result<ConsumerName, Refused> {
    ConsumerName::new(text)
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, Code::CONSUMER, error))
}

fn bad(why: impl ToString) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, Code::HTTP_REQUEST, why)
}

fn no_answer(error: report::Error) -> Refused {
    let status = match error {
        report::Error::Refused { .. } => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refused::new(status, error.code(), causes(&error))
}

fn broken_off() -> Refused {
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, Code::DEFECT, "the request was broken off")
}
