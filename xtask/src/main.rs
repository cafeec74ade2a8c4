//! Sets a fresh machine up and runs the project.
fn main() {}
