//! `absurd migrate`

use std::io::{self, Write as _};

use absurd_sdk::{Client, migrate};

use super::{CliError, output::Output};

/// Prints the schema as one script.
pub(crate) fn dump() -> Result<(), CliError> {
    Ok(io::stdout().write_all(migrate::dump().as_bytes())?)
}

pub(crate) async fn apply(client: &Client, output: Output) -> Result<(), CliError> {
    let applied = client.migrate().await?.applied;
    let sentence = match applied.len() {
        0 => "The schema is up to date.".to_owned(),
        files => format!("The schema is up to date; {files} files were applied."),
    };
    output.say(&sentence, &applied)
}
