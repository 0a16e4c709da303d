//! Arguments of the commands that make files: `export`, `init`, `completions`, `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use credit_ledger::{Node, Periods};

/// `export`
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Tables and views, as `query "SHOW TABLES"` lists them
    #[arg(required = true, value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Where to: a file that ends in .csv, .parquet or .xlsx (a sheet for each table), or a folder, which gets a CSV file for each
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Only these billing periods: 2026-09, 2026-Q3, 2026, 2026-05..2026-09
    #[arg(long, value_name = "PERIODS")]
    pub period: Option<Periods>,
    /// Only what is at this node or below it: "Business unit/Department/Portfolio/Product"
    #[arg(long, value_name = "NODE", value_parser = super::values::node)]
    pub node: Option<Node>,
}

pub(super) const EXPORT_HELP: &str = "\
A file that is there is replaced, once the new one is whole. Rows come in order of their grain.

CSV has exact amounts, and a ' before texts that a spreadsheet would take for formulas (--raw leaves it out). Parquet keeps the \
types of the tables. XLSX has amounts as numbers, and as text where they have more than 15 digits, which no spreadsheet keeps.

Examples:
  finops-credits export net_cost_summary --period 2026-Q3 --out q3.csv
  finops-credits export net_cost_summary --period 2026-Q3 --node Retail/Online --out online.csv
  finops-credits export net_cost credit_consumption --period 2026-05..2026-09 --out export/
  finops-credits export net_cost_summary reconciliation --period 2026-09 --out september.xlsx
  finops-credits export expiring_credits_view --out expiring.parquet";

/// `init`
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// The folder; made where it is not there
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// Also an export of seven lines, to try `run` on
    #[arg(long)]
    pub sample: bool,
}

pub(super) const INIT_HELP: &str = "\
Writes credits.toml with every setting explained, and in reference/ a template of each file that people keep, with one row to \
replace. A file that is there is never overwritten: then nothing is written at all.

Examples:
  finops-credits init
  finops-credits init trial --sample
  cd trial && finops-credits run";

/// `completions`
#[derive(Debug, Clone, Copy, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  finops-credits completions bash > ~/.local/share/bash-completion/completions/finops-credits
  finops-credits completions zsh > \"${fpath[1]}/_finops-credits\"
  finops-credits completions fish > ~/.config/fish/completions/finops-credits.fish";

/// `man`
#[derive(Debug, Clone, Args)]
pub struct Man {
    /// A folder, for the pages of all commands; without it the page of the program is printed
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

pub(super) const MAN_HELP: &str = "\
Examples:
  finops-credits man | man -l -
  finops-credits man --out ~/.local/share/man/man1";
