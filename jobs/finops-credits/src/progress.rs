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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AS_OF, Shop};

    #[tokio::test(flavor = "multi_thread")]
    async fn bar_shows_the_month_its_bytes_and_lines_as_they_are_read() {
        let (shop, bar) = (Shop::new(), ScanBar::new(false));
        bar.draw();
        assert_eq!((bar.bar.length(), bar.bar.prefix()), (Some(0), String::new()), "nothing is read yet");
        let app = shop.app("night-1", AS_OF).await;
        let (context, source) = (app.job_context().unwrap(), app.export_source().await.unwrap());
        let reference = app.context.reference_files().await.unwrap();
        context.run.begin().await.unwrap();
        let detecting = detect_credits::detect_credits(&context, source, &reference, bar.progress());
        assert_eq!(bar.watch(detecting).await.unwrap().periods.len(), 1);
        bar.draw();
        assert!(bar.bar.length().is_some_and(|bytes| bytes > 0) && bar.bar.position() > 0);
        assert_eq!((bar.bar.prefix().as_str(), bar.bar.message().as_str()), ("2026-01", "4"));
        assert!(bar.bar.is_finished(), "it is gone once all is read");
    }
}
