//! What the tests stand on: clusters as child processes, SQL, waiting for conditions, a ledger of
//! acknowledged writes, and the comparison of servers.

pub mod compare;
pub mod http;
pub mod ledger;
pub mod playground;
pub mod random;
pub mod schema;
pub mod sql;
pub mod tail_checks;
pub mod verify;
pub mod wait;

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use anyhow::{Context, Result, bail, ensure};
pub use playground::{Playground, Signal};

/// A cluster takes most of a small machine, and tests run as threads of one process: one at a time.
static ONE_CLUSTER: Mutex<()> = Mutex::new(());

/// A test that is not done by then hangs.
const TEST_MAX: Duration = Duration::from_secs(600);

/// Which servers a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Mariadb,
    Mysql,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Mariadb => "mariadb",
            Family::Mysql => "mysql",
        })
    }
}

/// Runs one test alone, on a runtime of its own; panics with the error and what the cluster said.
pub fn run<F>(family: Family, test: impl FnOnce(Family) -> F)
where
    F: Future<Output = Result<()>>,
{
    let wanted = std::env::var("PLIMSOLL_TEST_FAMILY").unwrap_or_default();
    if !wanted.is_empty() && wanted != family.to_string() {
        println!("left out: PLIMSOLL_TEST_FAMILY={wanted}");
        return;
    }
    let _alone = ONE_CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        let outcome = tokio::time::timeout(TEST_MAX, test(family)).await;
        outcome.unwrap_or_else(|_| bail!("not done after {TEST_MAX:?}"))
    });
    runtime.shutdown_background();
    if let Err(error) = outcome {
        panic!("on {family}: {error:#}");
    }
}

/// Makes each named `async fn(Family) -> Result<()>` a test on both families.
macro_rules! on_both_families {
    ($($test:ident),+ $(,)?) => {
        mod mariadb {
            $(#[test] fn $test() {
                crate::support::run(crate::support::Family::Mariadb, super::$test);
            })+
        }
        mod mysql {
            $(#[test] fn $test() {
                crate::support::run(crate::support::Family::Mysql, super::$test);
            })+
        }
    };
}
pub(crate) use on_both_families;
