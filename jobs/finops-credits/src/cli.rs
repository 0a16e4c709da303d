//! The command line.

mod files;
mod questions;
mod reading;
mod revisions;
mod serving;
mod tables;
mod values;

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use credit_ledger::BillingPeriod;
use lake::SchedulerAddress;

use questions::DIFF_HELP;
use reading::DETECT_HELP;

pub use files::{Completions, Export, Init, Man};
pub use questions::{CreditsCommand, Diff};
pub use reading::{Detect, Executor, Limits, OnCluster, Scheduler};
pub use revisions::{Allocate, Consent, CreditArgs, Move, RecordArgs, Revoke};
pub use serving::{Report, Serve};
pub use tables::{ColorWhen, ListArgs, ScreenArgs};
pub use values::Placed;
pub(crate) use values::{amount, date};
use values::{period, run_id};

/// Over the options that every command has.
const GLOBAL: &str = "Options of every command";

const AFTER_HELP: &str = "\
A run that would take published months away is staged only: `run --publish`, or `publish` with its id, publishes it.

Exit codes: 0 done; 2 usage; 3 bad input (settings, reference data, export); 4 input not there yet; 5 an invariant or \
the tie-out failed or the lake is damaged, nothing published; 6 storage or service unavailable (a retry may help); 7 lost \
a race with another run (retry)

Examples:
  finops-credits init                               settings and reference files to begin with
  finops-credits run                                the whole nightly pipeline, as of today
  finops-credits queue                              credits that wait for somebody to say whose they are
  finops-credits allocate --key id:10063543426 --amount 5000 --end-date 2026-12-31 --to \"Retail/Online\"
  finops-credits credits                            allocated credits and what is left of them
  finops-credits serve                              the same on a web page, on this machine
  finops-credits query \"SELECT * FROM net_cost_summary WHERE level = 1\"";

/// Finds every AWS credit in the billing export, joins what people recorded about it, applies it first in, first out,
/// and writes net cost that reconciles to the export.
#[derive(Debug, Parser)]
#[command(name = "finops-credits", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// Settings file, also s3://bucket/key [default: credits.toml, here or in the nearest folder above]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "FINOPS_CREDITS_CONFIG")]
    pub config: Option<PathBuf>,
    /// The settings themselves, as TOML, where no file is named
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "TOML", env = "FINOPS_CREDITS_SETTINGS", hide_env_values = true)]
    pub settings: Option<String>,
    /// As-of date, YYYY-MM-DD [default: `[run] as_of` of the settings, else today in UTC]. Commands that read answer from the
    /// newest kept run as of that date
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DATE", value_parser = date)]
    pub as_of: Option<NaiveDate>,
    /// Id of the run; jobs of one night are given the same [default: a new one]. Commands that read answer from that run
    /// [default: the published one]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "ID", value_parser = run_id)]
    pub run_id: Option<String>,
    /// Output format. Tables round money to cents (`query` does not); json and csv are exact
    #[arg(long, global = true, help_heading = GLOBAL, default_value = "table", value_name = "FORMAT")]
    pub format: Format,
    /// With --format csv: texts as they are, without the ' before those that a spreadsheet would take for formulas
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub raw: bool,
    /// What tables for people go to.
    #[command(flatten)]
    pub screen: ScreenArgs,
    /// Log what is done to stderr (-vv: more)
    #[arg(short, long, global = true, help_heading = GLOBAL, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Format of the log
    #[arg(long, global = true, help_heading = GLOBAL, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned, for people
    Table,
    /// An array of objects; money as text, so that it stays exact
    Json,
    /// With a header; empty: null
    Csv,
}

/// Log formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line per event
    Text,
    /// A JSON object per event
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole nightly pipeline: detect-credits, join-allocations, apply-fifo, write-net-cost, publish
    #[command(after_help = "\
Examples:
  finops-credits run
  finops-credits --config /etc/finops/credits.toml run
  finops-credits run --as-of 2026-10-31 --format json
  finops-credits run --as-of 2026-01-31 --publish
  finops-credits run --notify 'mail -s \"Credits: $FINOPS_CREDITS_EVENT\" finops@example.com'")]
    Run(Run),
    /// Job 1: read what changed in the export, register credits
    #[command(after_help = DETECT_HELP)]
    DetectCredits(Detect),
    /// Job 2: turn recorded allocations into lots, and spend into cells of the hierarchy
    #[command(after_help = JOB_HELP)]
    JoinAllocations(Join),
    /// Job 3: consume the lots first in first out, period by period
    #[command(after_help = JOB_HELP)]
    ApplyFifo,
    /// Job 4: stage all tables and check them
    #[command(after_help = JOB_HELP)]
    WriteNetCost,
    /// Between jobs 4 and 5, on AWS: check the staged run in Athena
    #[command(after_help = "\
Points the tables staged_… at the run and asks the workgroup of [athena] for its tie-out and invariants.

Example:
  finops-credits athena-check --run-id night-42 --as-of 2026-10-31")]
    AthenaCheck,
    /// Job 5: make the staged run the current one
    #[command(after_help = JOB_HELP)]
    Publish,
    /// Credits that wait for allocation
    #[command(after_help = "\
likely_node is where most of the account's cost lies in the published run, and likely_owner_email whom to ask there: a \
hint, not a fact. As CSV the queue has the empty columns of an allocation: fill in amount and node of those that you know, leave the \
others empty, and `allocations import` records them.

Examples:
  finops-credits queue
  finops-credits queue --sort -aws_applied
  finops-credits queue --out queue.xlsx
  finops-credits queue --format csv > queue.csv")]
    Queue(Queue),
    /// Record whose a credit is: amount, end date, node. Replaces an earlier allocation
    #[command(after_help = "\
It says what it replaces and what would change, per month and business unit; on a terminal it asks before it records, and asks \
for what is missing. Where an allocation is replaced, its end date and reference stay unless others are stated. It counts from the \
issue date of the credit: `move` leaves past months as they are. Several lots of one credit, say two purchases that have one name: --to for \
each, as NODE=AMOUNT or NODE=AMOUNT,END; --end-date is that of the lots that have none of their own.

Examples:
  finops-credits allocate
  finops-credits allocate --key id:10063543426 --amount 1250 --to \"Platform/Data & AI\" --end-date 2027-01-31
  finops-credits allocate --code \"AWS Activate\" --account 222222222222 --amount 10000 --to Retail/Online --reference INV-7
  finops-credits allocate --key id:8 --amount 2,500.00 --to Retail --dry-run            says what would change, records nothing
  finops-credits allocate --key id:8 --to Retail=3000.24,2026-08-31 --to Retail/Online=1000,2027-08-31
  finops-credits allocate --key id:7 --amount 50 --to 'Retail/\"A/B Testing\"'     a name that holds a / or =")]
    Allocate(Allocate),
    /// Move what is left of a lot to another node from a billing period on; earlier months stay as they are
    #[command(
        name = "move",
        after_help = "\
Issue date, end date and place in the FIFO order stay as they are. It is a revision of the allocation: `allocate` again restates \
all from the issue date.

Examples:
  finops-credits move id:10063543426 --from 2026-09 --to Retail/Online
  finops-credits move id:8:2 --from 2026-09 --to Media --dry-run      lot 2 of several"
    )]
    Move(Move),
    /// End a credit's allocation: it goes back to the queue
    #[command(after_help = "\
Examples:
  finops-credits revoke --key id:10063543426 --by jane@example.com
  finops-credits revoke --code \"AWS Activate\" --account 222222222222")]
    Revoke(Revoke),
    /// Allocations in bulk, as they stand, and their history
    #[command(subcommand)]
    Allocations(Allocations),
    /// Allocated credits: whose they are, what is used and left, as published
    #[command(after_help = "\
Credits whose newest allocation cannot be used are listed as `invalid`, at the node that it names. `Retail +1` has lots at one \
more node; --wide, json and csv name all. owner_email is of the node, or of the nearest one above that has one.

Examples:
  finops-credits credits
  finops-credits credits show id:10063543426        all about one
  finops-credits credits --columns credit_key,nodes,remaining --sort -remaining
  finops-credits credits --wide --no-pager
  finops-credits credits --format json")]
    Credits(Credits),
    /// What changed between two runs, past months first: net cost by business unit, credits, and why
    #[command(after_help = DIFF_HELP)]
    Diff(Diff),
    /// Reference files beside the export: rules that match nothing, names and ids that look wrong, what is Unassigned
    #[command(after_help = "\
Works on what the last run read of the export and on the reference files as they are now. `run` says the same of its own. \
Exit code 3 where a reference file cannot be read, with --strict also where anything is a warning.

Examples:
  finops-credits check
  finops-credits check --period 2026-09
  finops-credits check --strict --format json")]
    Check(Check),
    /// Look after the lake: back up, restore, relocate, repair, drop a period
    #[command(subcommand)]
    Lake(LakeCommand),
    /// SQL over every table and view: published ones, logs, cost_lines and credit_lines
    #[command(after_help = "\
Sums of money are exact or an error. `SHOW TABLES` lists tables and views, `DESCRIBE net_cost` the columns of one. The views are \
those that Athena is given.

Examples:
  finops-credits query \"SELECT billing_period, sum(net_cost) FROM net_cost GROUP BY 1 ORDER BY 1\"
  finops-credits query \"SELECT * FROM expiring_credits_view ORDER BY days_left\"
  finops-credits query \"SELECT * FROM reconciliation\" --format csv
  finops-credits query -f report.sql
  echo \"SHOW TABLES\" | finops-credits query -")]
    Query(Query),
    /// The web page: allocate, see where credits went, drill from any figure to the cost behind it
    #[command(after_help = serving::SERVE_HELP)]
    Serve(Serve),
    /// The page as one file for a mail: HTML, or a workbook
    #[command(after_help = serving::REPORT_HELP)]
    Report(Report),
    /// Cluster for large exports: start the scheduler, which gives tasks to executors (one per cluster)
    #[command(after_help = reading::SCHEDULER_HELP)]
    Scheduler(Scheduler),
    /// Cluster for large exports: start an executor, which does tasks (one per machine)
    #[command(after_help = reading::EXECUTOR_HELP)]
    Executor(Executor),
    /// Write tables and views to files: CSV, Parquet or XLSX
    #[command(after_help = files::EXPORT_HELP)]
    Export(Export),
    /// Write a settings file with every setting explained, and templates of the reference files
    #[command(after_help = files::INIT_HELP)]
    Init(Init),
    /// Print completions for a shell
    #[command(after_help = files::COMPLETIONS_HELP)]
    Completions(Completions),
    /// Print the manual page, or write those of all commands
    #[command(after_help = files::MAN_HELP)]
    Man(Man),
}

/// `credits`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Credits {
    /// More about credits
    #[command(subcommand)]
    pub show: Option<CreditsCommand>,
    /// How the list is shown.
    #[command(flatten)]
    pub list: ListArgs,
}

/// `check`
#[derive(Debug, Clone, Copy, Args)]
pub struct Check {
    /// Month whose Unassigned spend is listed, YYYY-MM [default: the latest period with lines]
    #[arg(long, value_name = "PERIOD", value_parser = period)]
    pub period: Option<BillingPeriod>,
    /// Treat warnings as errors (exit code 3)
    #[arg(long)]
    pub strict: bool,
}

/// `queue`
#[derive(Debug, Clone, Args)]
pub struct Queue {
    /// Write the queue to a file to fill in: CSV, or a workbook where its name ends in .xlsx
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How the list is shown.
    #[command(flatten)]
    pub list: ListArgs,
}

/// `run`
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Publish even if published months would disappear: an earlier as-of date, fewer periods, or no lines. Without it
    /// such a run is staged only
    #[arg(long)]
    pub publish: bool,
    /// A shell command that is called when there is something to tell: new, expiring or expired credits, refused inbox files, an
    /// export that ended long ago, a run that is not published or failed. What happened is in FINOPS_CREDITS_EVENT, the details
    /// are JSON on stdin [default: `[run] notify` of the settings]
    #[arg(long, value_name = "COMMAND")]
    pub notify: Option<String>,
    /// What hangs on removed nodes.
    #[command(flatten)]
    pub join: Join,
    /// What reads the export.
    #[command(flatten)]
    pub cluster: OnCluster,
}

/// `join-allocations`
#[derive(Debug, Clone, Copy, Args)]
pub struct Join {
    /// Go on where nodes that have cost, lots or budgets in the published run are gone from hierarchy.csv: their months
    /// are restated, and allocations to them cannot be used
    #[arg(long)]
    pub accept_removed_nodes: bool,
}

const JOB_HELP: &str = "\
The jobs of one run share one --run-id and one --as-of. Each may run in its own process, on any machine that reaches the lake.

Example, in this order:
  finops-credits detect-credits --run-id night-42 --as-of 2026-10-31
  finops-credits join-allocations --run-id night-42 --as-of 2026-10-31
  finops-credits apply-fifo --run-id night-42 --as-of 2026-10-31
  finops-credits write-net-cost --run-id night-42 --as-of 2026-10-31
  finops-credits publish --run-id night-42 --as-of 2026-10-31";

/// `query`
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Query {
    /// A SELECT, SHOW TABLES or DESCRIBE; `-`: read it from standard input
    pub sql: Option<String>,
    /// A file with the statement; `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `allocations …`
#[derive(Debug, Clone, Subcommand)]
pub enum Allocations {
    /// Record all rows of a CSV file, or none
    #[command(after_help = "\
The columns are promotion_code, account_id, credit_key, amount, currency, end_date, reference, business_unit, \
department, portfolio, product; optional are allocation_id, lot, recorded_at, recorded_by, action, note, from_period and \
continues_lot (the last two: a lot that was moved). Rows of one credit are its lots; where credit_key names it, promotion_code and \
account_id may be missing. What `allocations export` and `allocations list --format csv` write can be imported, and a queue that was \
filled in (`queue --out`): its rows left empty are skipped. A row that repeats what already counts is not recorded again.

Anyone who may not write to the lake's log puts the file into its inbox (--to-inbox). The next run, or --inbox, records each file \
there as a whole or not at all. The person recorded is the one its folder is named after, the time is that of its arrival. A receipt \
is left beside it: FILE.taken.txt, or FILE.refused.txt, which says what to fix.

Examples:
  finops-credits allocations import allocations.csv --by jane@example.com
  finops-credits allocations import queue.xlsx             the first sheet of a workbook
  finops-credits allocations import queue.xlsx --to-inbox  checked now, recorded by the next run
  finops-credits allocations import --inbox                all that lies in the inbox")]
    Import {
        /// The file: CSV or XLSX
        #[arg(required_unless_present = "inbox")]
        file: Option<PathBuf>,
        /// Record the files that lie in the lake's inbox. Exit code 3 where one is refused; the others are recorded
        #[arg(long, conflicts_with_all = ["file", "to_inbox", "by", "recorded_at"])]
        inbox: bool,
        /// Only check the file, and put it into the lake's inbox
        #[arg(long, conflicts_with_all = ["by", "recorded_at"])]
        to_inbox: bool,
        /// Who and when, for rows that do not say.
        #[command(flatten)]
        record: RecordArgs,
    },
    /// What `import` takes: the allocations that count, all lots
    #[command(after_help = "\
Examples:
  finops-credits allocations export > allocations.csv
  finops-credits allocations export allocations.csv
  finops-credits allocations export --history history.csv   every revision, revocations too")]
    Export {
        /// A CSV file, or a workbook where its name ends in .xlsx [default: stdout]
        file: Option<PathBuf>,
        /// All revisions, not only those that count
        #[arg(long)]
        history: bool,
    },
    /// The allocation that counts for each credit
    #[command(after_help = "\
Examples:
  finops-credits allocations list
  finops-credits allocations list --sort node,-amount
  finops-credits allocations list --format csv > allocations.csv")]
    List(ListArgs),
    /// Everything that was recorded about a credit, oldest first
    #[command(after_help = "\
Example:
  finops-credits allocations history id:10063543426")]
    History {
        /// The credit's key
        key: String,
    },
}

/// `lake …`
#[derive(Debug, Clone, Subcommand)]
pub enum LakeCommand {
    /// Register the logs again where the catalogue was lost or a log cannot be read
    #[command(after_help = "\
Recorded allocations are in the lake's folder warehouse/. The catalogue (catalog.db, or the Glue database) says which of its \
files count. Where it was lost, each log is registered again from its newest metadata that can be read.

Examples:
  finops-credits lake repair
  finops-credits lake repair --accept-loss          where nothing better is left: says what is lost")]
    Repair {
        /// Go back to the newest state that can be read, or begin a log anew, where that loses what was recorded later
        #[arg(long)]
        accept_loss: bool,
    },
    /// Write what people recorded to a ZIP file: the one thing in a lake that nothing else can make again
    #[command(after_help = "\
It holds the logs (allocations_log, credits_log, runs_log) as Parquet files, and a manifest with their checksums. A run may be \
under way.

Example:
  finops-credits lake backup /backups/finops-credits.zip")]
    Backup {
        /// The file; replaced as a whole
        file: PathBuf,
    },
    /// Append what the lake lacks of a backup, into a new lake before its first run
    #[command(after_help = "\
Restoring twice appends nothing twice. A lake that has rows which the backup lacks is left as it is, unless --merge.

Examples:
  finops-credits lake restore /backups/finops-credits.zip
  finops-credits lake restore /backups/finops-credits.zip --merge")]
    Restore {
        /// The file
        file: PathBuf,
        /// Append what is missing, also where the lake has rows of its own: of each credit the newest revision counts
        #[arg(long)]
        merge: bool,
    },
    /// Make a lake that was moved or copied one of its own: its logs hold the place where it was made
    #[command(after_help = "\
The logs are made anew from their rows, where the lake lies now. The old ones are kept beside them, and the place where the lake \
was made is not touched.

Example:
  finops-credits lake relocate")]
    Relocate,
    /// Take a billing period out of the lake, one that was never right. What is published stays until `run --publish`
    #[command(after_help = "\
A period that the export still has is read again by the next run: mend the export first.

Example:
  finops-credits lake drop-period 2019-03")]
    DropPeriod {
        /// The period, YYYY-MM
        #[arg(value_parser = period)]
        period: BillingPeriod,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Command {
    /// The cluster that it names, to read the export.
    #[must_use]
    pub const fn scheduler(&self) -> Option<&SchedulerAddress> {
        match self {
            Self::Run(Run { cluster, .. }) | Self::DetectCredits(Detect { cluster, .. }) => cluster.scheduler.as_ref(),
            _ => None,
        }
    }

    /// True for a command that makes the lake where there is none.
    #[must_use]
    pub const fn makes_lake(&self) -> bool {
        matches!(
            self,
            Self::Run(_)
                | Self::DetectCredits(_)
                | Self::JoinAllocations(_)
                | Self::ApplyFifo
                | Self::WriteNetCost
                | Self::AthenaCheck
                | Self::Publish
        )
    }
}

#[cfg(test)]
mod tests;
