//! The inbox: every file that people put there is recorded as a whole, or not at all, and gets a receipt that says which.
//!
//! * by: whose folder it lies in; at: when it came, so that of two revisions the later one counts, whenever a night reads them
//! * order: as they came; of one instant by folder and name, a microsecond apart
//! * a receipt names the version and the SHA-256 of what it is about: another version is read again, and where the receipt is
//!   lost or damaged too, which records nothing twice
//! * what is wrong with a file, or keeps it from being read, is told and holds up no other file and no night

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use credit_ledger::within_years;
use join_allocations::record::{Recording, Stamp};
use lake::{Inbox, Upload, Verdict};
use schemas::NodeColumns;
use schemas::records::{InboxFile, InboxFiles};
use schemas::reference::Action;
use schemas::tables::AllocationLogRow;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::foreign_text::{LINE, visible};
use crate::import::{EnteredFile, Import};
use crate::money_text::exact;
use crate::snapshot::CreditSnapshot;

/// What somebody fills in is far smaller. A file of somebody else takes no more of a night than this.
const MOST_BYTES: u64 = 4 << 20;
const MOST_ROWS: usize = 10_000;

/// Lines of a receipt beside those that every receipt has.
const MOST_LINES: usize = 1_000;

/// Records what lies in the inbox. `run` is the run that does so: what an earlier attempt of it has recorded it tells again.
/// Nobody else may do the same at the same time: the lake is held.
///
/// # Errors
/// [`Failure`] where the inbox cannot be listed, or the log cannot be written to.
pub async fn take_inbox(context: &Context, run: Option<&str>) -> Result<InboxFiles, Failure> {
    // Whatever date a run is made for: what somebody hands in today is about the credits of today.
    let mut context = context.clone();
    context.as_of = context.as_of.max(context.now.date());
    let Inbox { uploads, others } = context.lake.inbox().await?;
    let mut taking = Taking { context, run, standing: None, found: InboxFiles::default() };
    for (place, why) in others {
        taking.refuse(&place, &why);
    }
    let mut at: BTreeMap<NaiveDateTime, TimeDelta> = BTreeMap::new();
    for upload in &uploads {
        let apart = at.entry(upload.at).or_default();
        let arrived = upload.at.checked_add_signed(*apart).unwrap_or(upload.at);
        taking.look_at(upload, arrived).await?;
        *apart += TimeDelta::microseconds(1);
    }
    Ok(taking.found)
}

struct Taking<'a> {
    context: Context,
    run: Option<&'a str>,
    /// Once a file wants it, and what was recorded since.
    standing: Option<CreditSnapshot>,
    found: InboxFiles,
}

impl Taking<'_> {
    fn refuse(&mut self, place: &str, why: &str) {
        self.found.refused.push(InboxFile { file: place.to_owned(), said: why.to_owned() });
    }

    fn tell(&mut self, verdict: Verdict, place: &str, said: &str) {
        match verdict {
            Verdict::Taken => self.found.taken.push(InboxFile { file: place.to_owned(), said: said.to_owned() }),
            Verdict::Refused => self.refuse(place, said),
        }
    }

    async fn look_at(&mut self, upload: &Upload, at: NaiveDateTime) -> Result<(), Failure> {
        let (place, now) = (upload.place(), self.context.now);
        let receipts: Vec<Receipt<'_>> = upload.receipts.iter().filter_map(Receipt::read).collect();
        if let Some(receipt) = receipts.iter().find(|receipt| receipt.version == upload.version) {
            if self.run.is_some() && receipt.run == self.run {
                self.tell(receipt.verdict, &place, receipt.said);
            }
            return Ok(());
        }
        if upload.at > now {
            // What comes while this is at work is for the next time.
            if upload.at > now + TimeDelta::days(1) {
                self.refuse(&place, &format!("is dated {} and is not read before", upload.at.date()));
            }
            return Ok(());
        }
        if upload.size > MOST_BYTES {
            let said = format!("{} has {} bytes; split it, at most {MOST_BYTES} are read", upload.name, upload.size);
            self.answer(upload, Verdict::Refused, NO_SUM, vec![said]).await;
            return Ok(());
        }
        let (bytes, sha256) = match self.context.lake.read_upload(upload).await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.refuse(&place, &format!("cannot be read: {error}"));
                return Ok(());
            }
        };
        if receipts.iter().any(|receipt| receipt.verdict == Verdict::Taken && receipt.sha256 == sha256) {
            return Ok(());
        }
        self.take(upload, &bytes, &sha256, at).await
    }

    async fn take(&mut self, upload: &Upload, bytes: &[u8], sha256: &str, at: NaiveDateTime) -> Result<(), Failure> {
        let mut standing = match self.standing.take() {
            Some(standing) => standing,
            None => CreditSnapshot::of(&self.context).await?,
        };
        let lines = match checked(upload, bytes, &standing, at) {
            Err(failure) => Err(failure.into_lines()),
            Ok(import) => {
                self.context.lake.logs().append(&import.new.rows).await?;
                Arc::make_mut(&mut standing.log).extend(import.new.rows.iter().cloned());
                Ok(lines(&import, upload, at))
            }
        };
        self.standing = Some(standing);
        match lines {
            Ok(lines) => self.answer(upload, Verdict::Taken, sha256, lines).await,
            Err(lines) => self.answer(upload, Verdict::Refused, sha256, lines).await,
        }
        Ok(())
    }

    /// Tells what became of a file, and leaves a receipt. Where none can be written the next time says the same again.
    async fn answer(&mut self, upload: &Upload, verdict: Verdict, sha256: &str, lines: Vec<String>) {
        let (said, text) = receipt(upload, verdict, sha256, self.run, &lines);
        let place = upload.place();
        match self.context.lake.write_receipt(upload, verdict, text).await {
            Ok(()) => self.tell(verdict, &place, &said),
            Err(error) => self.tell(verdict, &place, &format!("{said}; its receipt could not be written: {error}")),
        }
    }
}

/// What a file would record.
fn checked(upload: &Upload, bytes: &[u8], standing: &CreditSnapshot, at: NaiveDateTime) -> Result<Import, Failure> {
    let wrong = |what: String| Failure::new(Kind::BadInput, format!("{} {what}", upload.name));
    within_years(at.date()).map_err(|problem| wrong(format!("is dated wrongly: {problem}")))?;
    let file = EnteredFile::read(&upload.name, bytes)?;
    if file.rows() > MOST_ROWS {
        return Err(wrong(format!("has {} rows; split it, at most {MOST_ROWS} are read", file.rows())));
    }
    let recording = Recording {
        caller: Some(upload.by.as_str().into()),
        recorded_by: None,
        recorded_at: at,
        stamp: Stamp::Arrival,
        now: standing.latest,
    };
    file.check(standing, &recording)
}

/// What is said of a file that was taken.
fn lines(import: &Import, upload: &Upload, at: NaiveDateTime) -> Vec<String> {
    let mut lines = vec![import.said(None)];
    lines.extend(import.new.rows.iter().map(row_line));
    lines.push(format!("As recorded by {} at {at} UTC, when it came.", upload.by));
    lines.extend(import.new.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.extend(import.left_out.clone());
    lines
}

fn row_line(row: &AllocationLogRow) -> String {
    let node = row.node().map(|node| node.to_string()).unwrap_or_default();
    let end = row.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
    let what = match row.amount {
        _ if row.action == Action::Revoke.name() => "revoked".to_owned(),
        Some(amount) => {
            format!("lot {}: {} {} on {node}{end}", row.lot, exact(amount), row.currency.as_deref().unwrap_or_default())
        }
        None => format!("lot {}: what is left, on {node}{end}", row.lot),
    };
    format!("{}  {}  {what}", row.allocation_id, row.credit_key)
}

/// How the receipt of a refused file begins.
const NOTHING: &str = "Nothing of it is recorded: ";

/// In place of the SHA-256 of a file that was not read.
const NO_SUM: &str = "-";

/// What is told of a file in one line, and the receipt: that line, what is to say, what to do, what it is about.
fn receipt(upload: &Upload, verdict: Verdict, sha256: &str, run: Option<&str>, lines: &[String]) -> (String, String) {
    let lines: Vec<String> = lines.iter().map(|line| visible(line, LINE)).collect();
    let first = lines.first().cloned().unwrap_or_default();
    let said = match lines.len() {
        more @ 2.. if verdict == Verdict::Refused => format!("{first}; and {} more", more - 1),
        _ => first,
    };
    let mut text = match verdict {
        Verdict::Taken => vec![said.clone(), String::new()],
        Verdict::Refused => vec![format!("{NOTHING}{said}"), String::new()],
    };
    let is_told = usize::from(verdict == Verdict::Taken || lines.len() == 1);
    text.extend(lines.iter().skip(is_told).take(MOST_LINES).cloned());
    if lines.len() > is_told + MOST_LINES {
        text.push(format!("and {} more", lines.len() - is_told - MOST_LINES));
    }
    if verdict == Verdict::Refused {
        text.push("Mend what it names, and upload the file again, under this name or another one.".to_owned());
    }
    text.extend([String::new(), format!("version {}", upload.version), format!("sha256 {sha256}")]);
    text.extend(run.map(|run| format!("run {run}")));
    (said, text.join("\n") + "\n")
}

/// A receipt of before.
struct Receipt<'a> {
    verdict: Verdict,
    said: &'a str,
    version: &'a str,
    sha256: &'a str,
    run: Option<&'a str>,
}

impl<'a> Receipt<'a> {
    /// None of what is no receipt any more.
    fn read((verdict, text): &'a (Verdict, String)) -> Option<Self> {
        let (_, about) = text.trim_end().rsplit_once("\n\n")?;
        let value = |key: &str| about.lines().find_map(|line| line.strip_prefix(key));
        let said = text.lines().next()?;
        Some(Self {
            verdict: *verdict,
            said: said.strip_prefix(NOTHING).unwrap_or(said),
            version: value("version ")?,
            sha256: value("sha256 ")?,
            run: value("run "),
        })
    }
}
