//! Progress of the scan, where a person watches.

use std::sync::Arc;
use std::time::Duration;

use detect_credits::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use application::foreign_text::{CELL, visible};
use application::money_text::count;

/// A bar over the bytes to read, with lines and the current period. Nothing is drawn without a terminal.
#[derive(Clone)]
pub(crate) struct ScanBar {
    bar: ProgressBar,
    progress: Arc<Progress>,
}

const REFRESH: Duration = Duration::from_millis(100);

impl ScanBar {
    /// A bar that is drawn once reading begins.
    pub(crate) fn new(watched: bool) -> Self {
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "reading {prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {msg} lines, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, progress: Arc::default() }
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits for all reading to end, redrawing meanwhile.
    pub(crate) async fn watch<T>(&self, reading: impl Future<Output = T>) -> T {
        tokio::pin!(reading);
        loop {
            tokio::select! {
                result = &mut reading => {
                    self.bar.finish_and_clear();
                    return result;
                }
                () = tokio::time::sleep(REFRESH) => self.draw(),
            }
        }
    }

    fn draw(&self) {
        let total_bytes = self.progress.total_bytes();
        if total_bytes == 0 {
            return;
        }
        self.bar.set_length(total_bytes);
        self.bar.set_prefix(visible(&self.progress.reading(), CELL));
        self.bar.set_message(count(self.progress.lines()));
        self.bar.set_position(self.progress.bytes());
    }
}
