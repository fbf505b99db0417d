//! The `xixin` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    xixin::cli::main()
}
