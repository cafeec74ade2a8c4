//! A coordinator's HTTP API, as the operators' verbs use it.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::explain::{Code, Coded};
use crate::http::{Answer, Client, Credentials};

/// One request, connecting included.
const WITHIN: Duration = Duration::from_secs(5);

/// Which coordinator to ask, and what to show it.
#[derive(Debug, Clone, clap::Args)]
pub struct CoordinatorAddress {
    /// HTTP address of the coordinator.
    #[arg(long = "coordinator", value_name = "HOST:PORT")]
    address: String,
    #[command(flatten)]
    pub(super) credentials: Credentials,
}

/// A client of one coordinator.
pub(super) struct Api {
    address: String,
    client: Client,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    code: Code,
}

impl Api {
    /// # Errors
    /// The credentials cannot be read.
    pub(super) fn new(coordinator: CoordinatorAddress) -> anyhow::Result<Api> {
        let client = Client::new(&coordinator.credentials, WITHIN)?;
        Ok(Api { address: coordinator.address, client })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The body of a 2xx answer.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<String> {
        self.body(self.client.get(&self.address, path))
    }

    /// As [`Api::get`], decoded.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.decode(&self.get(path)?)
    }

    /// Posts nothing to `path` and decodes the 2xx answer.
    pub(super) fn post_json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.decode(&self.body(self.client.post(&self.address, path, None::<&()>))?)
    }

    fn body(&self, answer: Result<Answer, crate::http::Error>) -> anyhow::Result<String> {
        let unreachable = || {
            let text = format!(
                "ask the coordinator at {}: is it running, and is this its HTTP address?",
                self.address
            );
            Coded::new(Code::COORDINATOR_UNREACHABLE, text)
        };
        let Answer { status, text } = answer.with_context(unreachable)?;
        if !(200..300).contains(&status) {
            return Err(match serde_json::from_str::<Refusal>(&text) {
                Ok(Refusal { error, code }) => {
                    Coded::new(code, format!("the coordinator refuses: {error}"))
                }
                Err(_) => self.no_answer(&format!("{status} there")),
            }
            .into());
        }
        Ok(text)
    }

    fn decode<T: DeserializeOwned>(&self, text: &str) -> anyhow::Result<T> {
        serde_json::from_str(text).with_context(|| self.no_answer("what it says"))
    }

    fn no_answer(&self, what: &str) -> Coded {
        let text = format!("{}: {what} is no answer of a coordinator", self.address);
        Coded::new(Code::NOT_A_COORDINATOR, text)
    }
}
