//! The command `finops-credits`.

use std::process::ExitCode;

fn main() -> ExitCode {
    finops_credits::main()
}
