//! The table of `tests/coverage`, on real servers: source, log, replicas.

mod observe;
mod opening;
mod restart;
pub mod run;

use crate::coverage::{changes, stops, switches, tables, types, xa};
use crate::support::{Family, Result, on_both_families};

on_both_families!(
    column_types,
    statements,
    other_objects,
    switches_of_a_session,
    xa_transactions,
    what_stops_the_replicas,
);

async fn column_types(family: Family) -> Result<()> {
    run::applied(family, types::CASES).await
}

async fn statements(family: Family) -> Result<()> {
    run::applied(family, changes::CASES).await
}

async fn other_objects(family: Family) -> Result<()> {
    run::applied(family, tables::CASES).await
}

async fn switches_of_a_session(family: Family) -> Result<()> {
    run::applied(family, switches::CASES).await
}

async fn xa_transactions(family: Family) -> Result<()> {
    run::applied(family, xa::CASES).await
}

async fn what_stops_the_replicas(family: Family) -> Result<()> {
    run::stopped(family, stops::CASES).await
}
