//! A pager: the command of PAGER, else `less`.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a shell reads otherwise than as a word.
const SHELL: [char; 22] =
    ['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', ' ', '\t', '\n', '*', '?', '[', '#', '~', '=', '%'];

/// Of `less`: end at once where the text fits, pass colours on, leave the text on the screen, end on Ctrl-C.
const LESS: &str = "FRXK";

/// Shows a text in a pager, until the person leaves it. False where the pager cannot be started.
pub(crate) fn page(pager: &str, text: &str) -> bool {
    let mut command = Command::new(pager);
    if pager.contains(SHELL) {
        command = Command::new("sh");
        command.args(["-c", pager]);
    }
    #[expect(clippy::disallowed_methods, reason = "how a person has set up the pager")]
    let options = std::env::var_os("LESS");
    command.env("LESS", options.unwrap_or_else(|| LESS.into()));
    let Ok(mut child) = command.stdin(Stdio::piped()).spawn() else { return false };
    if let Some(mut input) = child.stdin.take() {
        // Left before the end of the text: that is no failure.
        let _left = input.write_all(text.as_bytes());
    }
    let status = child.wait();
    // 126, 127: the shell has not found it.
    status.is_ok_and(|status| !matches!(status.code(), Some(126 | 127)))
}
