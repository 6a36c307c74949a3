//! The tools of this workspace: `cargo xtask test` is what continuous integration runs,
//! and everything it needs it sets up itself.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to the person who started it"
)]

mod process;
mod tidy;

mod setup;

mod bench;
mod demo;
mod schema;
mod test;
mod versions;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test              set up what is missing, then run every check
  ci                the same with CI=true and compiler warnings as errors everywhere
  tidy              the rules of STYLE.md that a program can check
  versions          the integration tests on PostgreSQL 14 to 18, from npm's packages
  schema            print the whole database schema as one SQL file
  schema --check    fail if the schema cannot be printed
  bench [..]        what the engine costs, against what PostgreSQL can do: --quick, --only W3,W4,
                    --profile, --json FILE
  bench report FILE tables and plots of docs/performance.md, from what --json has written;
                    --peers FILE for those of other libraries
  bench --pure [..] what runs in our process for each step, without a database, by Criterion
  bench --peers [..]
                    what other libraries cost, beside ours: --quick, --only W3,W4, --json FILE,
                    --peer dbos-py,pg-boss
  demo [--exit]     the imaging pipeline with a killed worker; --exit does not wait at the end
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test"] => test::run(test::Strictness::Local),
        ["ci"] => test::run(test::Strictness::Ci),
        ["tidy"] => tidy::run(),
        ["versions"] => versions::run_all(),
        ["schema"] => schema::print(),
        ["schema", "--check"] => schema::check(),
        ["bench", words @ ..] => bench::start(words),
        ["demo"] => demo::start(false),
        ["demo", "--exit"] => demo::start(true),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("unknown command: {}\n\n{USAGE}", words.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            if !message.is_empty() {
                eprintln!("error: {message}");
            }
            ExitCode::FAILURE
        }
    }
}
