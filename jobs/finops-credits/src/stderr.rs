//! Standard error. A reader that went away is no failure.

use std::io::Write;

use application::foreign_text::{LINE, visible, without_keys};

/// Writes to stderr what [`visible`] has passed.
pub(crate) fn to_stderr(text: &str) {
    let _gone = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The log as text: every event, whatever it says, is one line with nothing hidden in it.
pub(crate) struct LogLines;

impl Write for LogLines {
    /// Takes an event, which is written whole.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        to_stderr(&(visible(&without_keys(text.strip_suffix('\n').unwrap_or(&text)), LINE) + "\n"));
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
