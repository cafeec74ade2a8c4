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
    // Its log holds fractions that nobody can read: `servers/changes.rs` has the others.
    run::applied(family, types::CASES, run::Told::ByOthers).await
}

async fn statements(family: Family) -> Result<()> {
    run::applied(family, changes::CASES, run::Told::AsChanges).await
}

async fn other_objects(family: Family) -> Result<()> {
    run::applied(family, tables::CASES, run::Told::AsChanges).await
}

async fn switches_of_a_session(family: Family) -> Result<()> {
    run::applied(family, switches::CASES, run::Told::AsChanges).await
}

async fn xa_transactions(family: Family) -> Result<()> {
    run::applied(family, xa::CASES, run::Told::AsChanges).await
}

async fn what_stops_the_replicas(family: Family) -> Result<()> {
    run::stopped(family, stops::CASES).await
}
