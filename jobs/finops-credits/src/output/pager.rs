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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pager_gets_the_whole_text_also_where_it_is_a_command_with_options() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shown");
        let text = "credit\n".repeat(50_000);
        assert!(page(&format!("cat - > {}", file.display()), &text));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert!(page(&format!("echo $LESS > {}", file.display()), "x"));
        assert!(!std::fs::read_to_string(&file).unwrap().trim().is_empty(), "less ends at once where a text fits");
    }

    #[test]
    fn text_is_printed_where_the_pager_cannot_be_started_and_not_again_where_it_was_left() {
        assert!(!page("/no/such/pager", "x"));
        assert!(!page("exec 2>/dev/null; no-such-pager -R", "x"), "the shell has not found it");
        assert!(page("true", &"x".repeat(1 << 20)), "left before the end");
        assert!(page("exit 1", "x"), "left by Ctrl-C");
    }
}
