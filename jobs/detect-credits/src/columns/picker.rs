//! Picks columns of one file by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::position_of;

/// Picks columns of one file and remembers what it lacks.
pub(super) struct Picker<'a> {
    names: &'a [String],
    folded: Vec<String>,
    pub(super) projection: Vec<String>,
    positions: BTreeMap<usize, usize>,
    /// Required columns that are not there.
    pub(super) missing: Vec<String>,
    /// Columns that stand more than once, where only one can count.
    pub(super) several: BTreeSet<String>,
}

impl<'a> Picker<'a> {
    pub(super) fn new(names: &'a [String], folded: Vec<String>) -> Self {
        Self {
            names,
            folded,
            projection: Vec::new(),
            positions: BTreeMap::new(),
            missing: Vec::new(),
            several: BTreeSet::new(),
        }
    }

    /// Projects the column at an index of the file.
    fn project(&mut self, index: usize) -> usize {
        if let Some(position) = self.positions.get(&index) {
            return *position;
        }
        let position = self.projection.len();
        self.projection.push(self.names.get(index).cloned().unwrap_or_default());
        self.positions.insert(index, position);
        position
    }

    /// Where the columns of one name are.
    fn places(&self, name: &str) -> Vec<usize> {
        (0..self.folded.len()).filter(|at| self.folded.get(*at).is_some_and(|folded| folded == name)).collect()
    }

    /// The column of this name, if there is one.
    pub(super) fn optional(&mut self, name: &str) -> Option<usize> {
        let places = self.places(name);
        if places.len() > 1 {
            self.several.extend(places.iter().filter_map(|at| self.names.get(*at).cloned()));
        }
        places.first().map(|index| self.project(*index))
    }

    pub(super) fn required(&mut self, name: &str, spelled: &str) -> usize {
        self.optional(name).unwrap_or_else(|| {
            self.missing.push(spelled.to_owned());
            usize::MAX
        })
    }

    /// The columns of these names that are there, in this order.
    pub(super) fn first_of(&mut self, names: &[&str]) -> Vec<usize> {
        names.iter().filter_map(|name| self.optional(name)).collect()
    }

    /// As [`first_of`](Self::first_of), where a name may stand more than once: then the last one comes first.
    pub(super) fn last_of(&mut self, names: &[&str]) -> Vec<usize> {
        let places: Vec<usize> = names.iter().flat_map(|name| self.places(name).into_iter().rev()).collect();
        places.into_iter().map(|index| self.project(index)).collect()
    }

    /// True where any column's name starts so.
    pub(super) fn any(&self, prefix: &str) -> bool {
        self.folded.iter().any(|name| name.starts_with(prefix))
    }

    /// True where AWS chose the columns: it spells them with a slash in text, and every CUR 1.0 has ids of its lines. A CUR 2.0 of
    /// a few columns may look like one.
    pub(super) fn is_whole_cur1(&self) -> bool {
        self.names.iter().any(|name| name.contains('/'))
            || self.folded.iter().any(|name| name == "identity_line_item_id")
    }

    /// Plain columns `<prefix><key>` of the wanted keys.
    pub(super) fn keyed(&mut self, prefix: &str, wanted: &[String], fold: fn(&str) -> String) -> Vec<(usize, usize)> {
        let indexes: Vec<(usize, usize)> = (0..self.folded.len())
            .filter_map(|index| {
                let key = fold(self.folded.get(index)?.strip_prefix(prefix)?);
                Some((position_of(wanted, &key)?, index))
            })
            .collect();
        indexes.into_iter().map(|(wanted, index)| (wanted, self.project(index))).collect()
    }
}
