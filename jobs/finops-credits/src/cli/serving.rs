//! Arguments of `serve` and `report`.

use std::path::PathBuf;

use clap::Args;
use credit_ledger::Node;

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// For people who sign in, as [web] of the settings says
    #[arg(long, conflicts_with_all = ["port", "by", "no_open"])]
    pub shared: bool,
    /// Port on this machine; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8765)]
    pub port: u16,
    /// Who records what is entered on the page [default: the login name]
    #[arg(long, value_name = "WHO")]
    pub by: Option<String>,
    /// No forms: nothing can be recorded
    #[arg(long, conflicts_with = "by")]
    pub read_only: bool,
    /// Do not open a browser
    #[arg(long)]
    pub no_open: bool,
}

pub(super) const SERVE_HELP: &str = "\
For the person who starts it, on this machine only. The address that it prints works once, for one browser; the session lasts \
eight hours. Pages answer from the published run, and show at once what somebody records. With --shared people of an \
organisation sign in with its OpenID provider, their groups say what they may do, and `access.csv` which nodes they see.

Examples:
  finops-credits serve
  finops-credits serve --by jane@example.com
  finops-credits serve --read-only --port 0 --no-open
  finops-credits serve --shared";

/// `report`
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// Where to: a file that ends in .html (one self-contained page) or .xlsx (a sheet for each table)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Months of costs: 2026-09, 2026-Q3, 2026, 2026-05..2026-09 [default: the last twelve]
    #[arg(long, value_name = "PERIODS")]
    pub period: Option<String>,
    /// Only what is at this node or below it: "Business unit/Department/Portfolio/Product"
    #[arg(long, value_name = "NODE", value_parser = super::values::node)]
    pub node: Option<Node>,
    /// Only this currency
    #[arg(long, value_name = "CODE")]
    pub currency: Option<String>,
}

pub(super) const REPORT_HELP: &str = "\
Overview, queue, credits, expiry and net cost as the page of `serve` shows them, in one file for a mail: it loads nothing from \
elsewhere. The workbook has amounts as numbers, days as days, a header that stays in sight, and filters.

Examples:
  finops-credits report --out september.html --period 2026-09
  finops-credits report --out retail.xlsx --period 2026-Q3 --node Retail";
