//! The sample organisation in a lake of its own, for commands whose answers one reads.

use std::path::Path;

use crate::support::Workspace;

/// The last day of the sample.
pub(crate) const AS_OF: &str = "2026-10-31";

/// A workspace that reads the sample's export where it lies, with a copy of its reference files; nothing has run.
pub(crate) fn sample() -> Workspace {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let workspace = Workspace::new();
    let export = data.join("cur").canonicalize().expect("the sample's export");
    let places = "[reference]\nlocation = \"reference\"\n[lake]\nlocation = \"lake\"\n";
    workspace.write("credits.toml", format!("[source]\nlocation = \"{}\"\n{places}", export.display()));
    workspace.copy(&data.join("reference"), "reference");
    workspace
}

/// What a command says, or a panic with what went wrong.
pub(crate) fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}
