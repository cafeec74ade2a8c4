//! A coordinator's HTTP API, as the operators' verbs use it.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::explain::{Code, Coded};

/// One request, connecting included.
const WITHIN: Duration = Duration::from_secs(5);

/// Which coordinator to ask.
#[derive(Debug, Clone, clap::Args)]
pub struct CoordinatorAddress {
    /// HTTP address of the coordinator.
    #[arg(long = "coordinator", value_name = "HOST:PORT")]
    address: String,
}

/// A client of one coordinator.
pub(super) struct Api {
    address: String,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    code: Code,
}

impl Api {
    pub(super) fn new(coordinator: CoordinatorAddress) -> Api {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(WITHIN))
            .http_status_as_error(false)
            .build();
        Api { address: coordinator.address, agent: config.into() }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The body of a 2xx answer.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}{path}", self.address);
        self.body(self.agent.get(url).call())
    }

    /// As [`Api::get`], decoded.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.decode(&self.get(path)?)
    }

    /// Posts nothing to `path` and decodes the 2xx answer.
    pub(super) fn post_json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("http://{}{path}", self.address);
        self.decode(&self.body(self.agent.post(url).send_empty())?)
    }

    fn body(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<String> {
        let unreachable = || {
            let text = format!(
                "ask the coordinator at {}: is it running, and is this its HTTP address?",
                self.address
            );
            Coded::new(Code::COORDINATOR_UNREACHABLE, text)
        };
        let mut answer = answer.with_context(unreachable)?;
        let text = answer.body_mut().read_to_string().with_context(unreachable)?;
        if !answer.status().is_success() {
            return Err(match serde_json::from_str::<Refusal>(&text) {
                Ok(Refusal { error, code }) => {
                    Coded::new(code, format!("the coordinator refuses: {error}"))
                }
                Err(_) => self.no_answer(&format!("{} there", answer.status())),
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
