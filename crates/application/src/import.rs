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

#[cfg(test)]
mod tests {
    use schemas::tables::AllocationLogRow;

    use super::*;

    fn row() -> AllocationLogRow {
        AllocationLogRow {
            allocation_id: "a".into(),
            lot: 1,
            credit_key: "id:1".into(),
            action: "allocate".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            amount: None,
            currency: None,
            end_date: None,
            reference: None,
            recorded_by: None,
            recorded_at: "2026-01-20T09:30:00".parse().unwrap(),
            note: None,
            from_period: None,
            continues_lot: None,
        }
    }

    #[test]
    fn import_says_what_it_did_and_what_it_left_alone() {
        let said = |rows: usize, already_recorded: usize, replaced: usize, left_empty: usize| {
            let new = Revisions { rows: vec![row(); rows], already_recorded, ..Revisions::default() };
            let import = Import { new, left_out: None, name: "a.csv".to_owned(), replaced, left_empty };
            import.said(Some("They count from the next run."))
        };
        assert_eq!(said(1, 0, 0, 0), "Recorded 1 row of a.csv. They count from the next run.");
        assert_eq!(said(0, 1_234, 0, 0), "Recorded 0 rows of a.csv. 1,234 rows stood in the log already.");
        let all = "Recorded 3 rows of a.csv. The allocations of 2 credits are replaced. They count from the next run. 1 row \
                   stood in the log already. 5 rows left empty, skipped.";
        assert_eq!(said(3, 1, 2, 5), all);
        assert!(said(1, 0, 1, 0).contains("The allocation of 1 credit is replaced."));
    }

    #[test]
    fn file_is_a_workbook_or_csv_by_what_it_holds_and_an_old_workbook_is_refused() {
        let csv = EnteredFile::read("a.xlsx", b"credit_key,amount,business_unit\nid:1,5,Retail\n").unwrap();
        assert_eq!((csv.rows(), csv.left_out), (1, None));
        let refused = EnteredFile::read("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1").map(drop).unwrap_err();
        let expected = "old.xls is a workbook of an old format; save it as .xlsx or CSV";
        assert_eq!((refused.kind, refused.to_string().as_str()), (Kind::BadInput, expected));
    }
}
