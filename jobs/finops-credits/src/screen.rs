//! What tables for people go to: a terminal of some size, or a pipe or a file, whose lines may have any length.

use std::io::IsTerminal;

use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::UnicodeWidthStr;

use crate::cli::{ColorWhen, ScreenArgs};

/// What tables for people go to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Screen {
    /// Columns of text that a table may take; none: as many as it needs.
    pub(crate) width: Option<usize>,
    pub(crate) color: bool,
    /// What shows a text that is taller than this many lines.
    pager: Option<(String, usize)>,
}

#[expect(clippy::disallowed_methods, reason = "how a person has set up the terminal")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Screen {
    /// Standard output, as the arguments, the environment and the terminal have it.
    pub(crate) fn of(arguments: ScreenArgs) -> Self {
        let stdout = std::io::stdout();
        let size = stdout.is_terminal().then(|| terminal_size_of(&stdout)).flatten();
        let knows_controls = stdout.is_terminal() && environment("TERM").is_some_and(|terminal| terminal != "dumb");
        let columns = || environment("COLUMNS")?.parse().ok().filter(|columns| *columns > 0);
        let pager = environment("PAGER").unwrap_or_else(|| "less".to_owned());
        let wants_pager = knows_controls && !arguments.no_pager && pager != "cat";
        Self {
            width: arguments
                .width
                .map(usize::from)
                .or_else(columns)
                .or_else(|| size.map(|(Width(columns), _)| usize::from(columns))),
            color: match arguments.color {
                ColorWhen::Always => true,
                ColorWhen::Never => false,
                ColorWhen::Auto => knows_controls && environment("NO_COLOR").is_none(),
            },
            pager: size.filter(|_| wants_pager).map(|(_, Height(lines))| (pager, usize::from(lines))),
        }
    }

    /// The command that shows a text, where it is taller than the terminal.
    pub(crate) fn pager(&self, text: &str) -> Option<&str> {
        let (pager, height) = self.pager.as_ref()?;
        let rows = |line: &str| line.width().max(1).div_ceil(self.width.unwrap_or(usize::MAX));
        (text.lines().map(rows).sum::<usize>() >= *height).then_some(pager)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_says_goes_before_the_terminal_and_the_environment() {
        let of = |width, color| Screen::of(ScreenArgs { width, color, no_pager: true });
        let always = of(Some(40), ColorWhen::Always);
        assert_eq!((always.width, always.color, always.pager), (Some(40), true, None));
        assert!(!of(Some(40), ColorWhen::Never).color);
    }

    #[test]
    fn pager_is_for_what_is_taller_than_the_terminal_also_by_long_lines() {
        let screen = Screen { width: Some(10), color: false, pager: Some(("less".to_owned(), 4)) };
        assert_eq!(screen.pager("1\n2\n3\n"), None);
        assert_eq!(screen.pager("1\n2\n3\n4\n"), Some("less"));
        assert_eq!(screen.pager(&format!("{}\n", "x".repeat(31))), Some("less"));
        assert_eq!(Screen::default().pager(&"x\n".repeat(100)), None);
    }
}
