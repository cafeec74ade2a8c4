//! A router behind the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{BoundedListener, Door};
use crate::explain::Code;

/// Tells a load balancer that the process lives, and nothing else: open to everybody.
const HEALTH: &str = "/healthz";

/// Bytes of a request's body: a few words of JSON, or a key of a table in a verification.
const BODY_MAX: usize = 2 << 20;

/// Requests of one connection that are being answered: it is not idle then, however long it takes.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    begun: AtomicUsize,
    under_way: AtomicUsize,
}

impl UnderWay {
    pub fn any(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) > 0
    }

    /// How many the door has admitted so far.
    pub fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn one(&self) -> Busy {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

struct Busy(UnderWay);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for UnderWay {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> UnderWay {
        stream.io().under_way().clone()
    }
}

/// Answers requests that the door admits until `stop`; those under way then have `last_answers`.
///
/// # Errors
/// What ended the serving by itself.
pub async fn serve(
    listener: BoundedListener,
    door: Door,
    router: Router,
    last_answers: Duration,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = router.layer(from_fn_with_state((door, listener.idle()), admit));
    let router = router.into_make_service_with_connect_info::<UnderWay>();
    let graceful = stop.clone().cancelled_owned();
    let serving = axum::serve(listener, router).with_graceful_shutdown(graceful);
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(last_answers).await;
    };
    tokio::select! {
        served = serving.into_future() => served,
        () = too_late => Ok(()),
    }
}

async fn admit(
    State((door, patience)): State<(Door, Duration)>,
    ConnectInfo(under_way): ConnectInfo<UnderWay>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() != HEALTH && !door.admits(request.headers()) {
        let text = "this needs the cluster's HTTP token: Authorization: Bearer TOKEN ([http] \
                    token_file; `plimsoll` verbs take --token-file or PLIMSOLL_HTTP_TOKEN)";
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"plimsoll\"")];
        let body = Json(json!({ "error": text, "code": Code::HTTP_CREDENTIAL }));
        return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
    }
    let _busy = under_way.one();
    // Here, so that no handler waits for a body that comes byte by byte, or never.
    let (head, body) = request.into_parts();
    let late = || format!("the request's body has not come within {} s", patience.as_secs());
    let (status, error) = match timeout(patience, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(body)) => return next.run(Request::from_parts(head, body.into())).await,
        Ok(Err(error)) => (StatusCode::BAD_REQUEST, format!("the request's body: {error}")),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, late()),
    };
    (status, Json(json!({ "error": error, "code": Code::HTTP_REQUEST }))).into_response()
}
