//! The command line of what one asks a lake.

use clap::{Args, Subcommand};

pub(super) const DIFF_HELP: &str = "\
A run is named by its id, the beginning of its id, `published`, or `previous`: the one published before. One run alone is \
compared with the published one. The summary of every `run` tells the same, in short, since the published run.

Examples:
  finops-credits diff                               what the last night changed
  finops-credits diff 01a20dc6                      what changed since that run
  finops-credits diff 01a20dc6 previous
  finops-credits diff --format csv > changes.csv    a row for every figure that is another";

/// `diff`
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// The run before [default: previous]
    #[arg(value_name = "RUN1")]
    pub from: Option<String>,
    /// The run after [default: published]
    #[arg(value_name = "RUN2")]
    pub to: Option<String>,
}

/// `credits …`
#[derive(Debug, Clone, Subcommand)]
pub enum CreditsCommand {
    /// One credit: lots, month by month in both books, who used it, why something was left, history, findings
    #[command(after_help = "\
KEY is the key of a credit, its name, or the beginning of either where only one credit fits. --format json has all of \
it, csv the months.

Examples:
  finops-credits credits show id:10063543426
  finops-credits credits show \"AWS Activate\"
  finops-credits credits show code:MAP --format json")]
    Show {
        /// The credit
        #[arg(value_name = "KEY")]
        key: String,
    },
}
