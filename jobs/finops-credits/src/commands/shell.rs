//! `completions` and `man`: what a shell and `man` know of the command line.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::{Cli, Format};
use crate::output::{answer, write_stdout};
use crate::{Failure, Kind};

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    // The generator cannot bear a reader that goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    write_stdout(&String::from_utf8_lossy(&script))
}

#[derive(Serialize)]
struct Written<'a> {
    folder: &'a Path,
}

/// Prints the page of the program, or writes the pages of all commands to a folder.
pub(crate) fn man(format: Format, out: Option<&Path>) -> Result<(), Failure> {
    let Some(folder) = out else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|error| Failure::new(Kind::CheckFailed, format!("man: {error}")))?;
        return write_stdout(&String::from_utf8_lossy(&page));
    };
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| {
        let kind = if folder.exists() && !folder.is_dir() { Kind::BadInput } else { Kind::Storage };
        Failure::new(kind, format!("man: {}: {error}", folder.display()))
    })?;
    answer(format, &Written { folder }, [format!("Wrote the pages of all commands to {}", folder.display())])
}
