//! How tables are shown: arguments of every command, and those of the commands that list something.

use clap::{Args, ValueEnum};

use super::GLOBAL;

/// What tables for people go to.
#[derive(Debug, Clone, Copy, Args)]
pub struct ScreenArgs {
    /// Columns of text that a table may take: long names are shortened, and columns that matter less left out [default:
    /// COLUMNS, else the terminal's; unlimited where the output is no terminal]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "N", value_parser = clap::value_parser!(u16).range(20..))]
    pub width: Option<u16>,
    /// Colour: `auto` on a terminal only, and not where NO_COLOR is set
    #[arg(long, global = true, help_heading = GLOBAL, default_value = "auto", value_name = "WHEN")]
    pub color: ColorWhen,
    /// Do not show what is taller than the terminal in a pager (PAGER, else less)
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_pager: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Which columns of a list, and in which order.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Columns to show, in this order; an unknown name is answered with the list of known ones
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Order of the rows by these columns, descending where a `-` stands before one; missing values come last
    #[arg(long, value_name = "[-]COLUMN,…", value_delimiter = ',', allow_hyphen_values = true)]
    pub sort: Vec<String>,
    /// All columns, whatever the width, and nothing shortened
    #[arg(long, conflicts_with = "columns")]
    pub wide: bool,
}
