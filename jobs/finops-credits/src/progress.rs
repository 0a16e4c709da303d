//! Progress of the scan, where a person watches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use detect_credits::scan::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::foreign_text::{CELL, visible};
use crate::money_text::count;

/// A bar over the bytes to read, with lines and the current period. Nothing is drawn without a terminal.
#[derive(Clone)]
pub(crate) struct ScanBar {
    bar: ProgressBar,
    progress: Arc<Progress>,
}

const REFRESH: Duration = Duration::from_millis(100);

impl ScanBar {
    pub(crate) fn new(total_bytes: u64, watched: bool) -> Self {
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total_bytes), target);
        let template = "reading {prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {msg} lines, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(count(0));
        Self { bar, progress: Arc::default() }
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Names what is being read.
    pub(crate) fn reading(&self, periods: &str) {
        self.bar.set_prefix(visible(periods, CELL));
    }

    /// Waits for all reading to end, redrawing meanwhile.
    pub(crate) async fn watch<T>(&self, reading: impl Future<Output = T>) -> T {
        tokio::pin!(reading);
        loop {
            tokio::select! {
                result = &mut reading => {
                    self.draw();
                    return result;
                }
                () = tokio::time::sleep(REFRESH) => self.draw(),
            }
        }
    }

    fn draw(&self) {
        self.bar.set_message(count(self.progress.lines.load(Ordering::Relaxed)));
        self.bar.set_position(self.progress.bytes.load(Ordering::Relaxed));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
