//! A file of allocations: read, checked as a whole, and what it records.

use join_allocations::record::{Recording, Revisions, revisions};
use join_allocations::renamed::by_present_names;
use schemas::reference::{EnteredAllocations, read_allocations};

use crate::failure::{Failure, Kind};
use crate::money_text::count;
use crate::snapshot::CreditSnapshot;

/// What somebody entered in a file.
pub struct EnteredFile {
    name: String,
    left_out: Option<String>,
    entered: EnteredAllocations,
}

/// What a file records.
pub struct Import {
    /// Rows for the log.
    pub new: Revisions,
    /// What of the file is not read, if anything.
    pub left_out: Option<String>,
    name: String,
    /// Credits that were allocated.
    replaced: usize,
    left_empty: usize,
}

impl EnteredFile {
    /// Reads CSV or the first sheet of a workbook.
    ///
    /// # Errors
    /// [`Kind::BadInput`] for a workbook that cannot be read; what is wrong with rows is told by [`check`](Self::check).
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let (name, mut left_out) = (name.to_owned(), None);
        if !table_files::is_workbook(bytes) {
            return Ok(Self { entered: read_allocations(&name, bytes), name, left_out });
        }
        let sheet = table_files::read_sheet(bytes);
        let sheet = sheet.map_err(|problem| Failure::new(Kind::BadInput, format!("{name} {problem}")))?;
        let others = sheet.other_sheets.join(", ");
        if !others.is_empty() {
            left_out = Some(format!("note: of {name} only the first sheet is read, not {others}"));
        }
        Ok(Self { entered: read_allocations(&name, &sheet.csv), name, left_out })
    }

    /// Rows, those left empty too.
    #[must_use]
    pub const fn rows(&self) -> usize {
        let EnteredAllocations { rows, left_empty, problems } = &self.entered;
        rows.len() + left_empty.len() + problems.0.len()
    }

    /// Checks all rows beside what stands.
    ///
    /// # Errors
    /// [`Kind::BadInput`] that lists everything that is wrong; then nothing may be recorded.
    pub fn check(self, standing: &CreditSnapshot, recording: &Recording) -> Result<Import, Failure> {
        let EnteredAllocations { rows, left_empty, mut problems } = self.entered;
        let (register, hierarchy) = (&standing.register.credits, &standing.reference.hierarchy);
        let checked = revisions(&rows, register, hierarchy, &standing.log, recording);
        let new = checked.unwrap_or_else(|found| {
            problems.0.extend(found.0);
            Revisions::default()
        });
        problems.0.sort_by_key(|problem| problem.row);
        let log = by_present_names(&standing.log, hierarchy);
        let new = problems.or(new)?.without_standing(&log, recording);
        Ok(Import {
            replaced: new.replaced(&standing.log),
            new,
            left_out: self.left_out,
            name: self.name,
            left_empty: left_empty.len(),
        })
    }
}

impl Import {
    /// What it did, as a person is told; `counts` says from when it counts.
    #[must_use]
    pub fn said(&self, counts: Option<&str>) -> String {
        let rows = |number: usize| format!("{} row{}", count(number as u64), if number == 1 { "" } else { "s" });
        let mut said = vec![format!("Recorded {} of {}.", rows(self.new.rows.len()), self.name)];
        match self.replaced {
            0 => {}
            1 => said.push("The allocation of 1 credit is replaced.".to_owned()),
            more => said.push(format!("The allocations of {more} credits are replaced.")),
        }
        if !self.new.rows.is_empty() {
            said.extend(counts.map(str::to_owned));
        }
        if self.new.already_recorded > 0 {
            said.push(format!("{} stood in the log already.", rows(self.new.already_recorded)));
        }
        if self.left_empty > 0 {
            said.push(format!("{} left empty, skipped.", rows(self.left_empty)));
        }
        said.join(" ")
    }
}
