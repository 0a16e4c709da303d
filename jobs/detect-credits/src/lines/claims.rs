//! Which rules a line's attributes claim.

use crate::columns::KeyedSources;
use crate::rules::{NO_CLAIM, RuleFinder, RuleMatcher};
use crate::values::{MapColumn, PerEntry, RealMap, TextColumn, json_entries};

/// The rule attributes of one kind that come from keyed columns: tags, or cost categories.
pub(crate) struct KeyedClaims<'a> {
    wanted: &'a [String],
    /// Attribute of the first wanted key.
    first: usize,
    prefixes: &'static [&'static str],
    fold: fn(&str) -> String,
    maps: Vec<MapClaims>,
    columns: Vec<PerEntry<u32>>,
}

/// What is known about the dictionaries of one map column.
#[derive(Default)]
struct MapClaims {
    /// The wanted key, if it is one.
    keys: PerEntry<Option<usize>>,
    /// Claims of values by wanted key.
    values: Vec<PerEntry<u32>>,
    /// Claims of whole JSON texts: a range of `objects`; `None` for a text that is no object.
    texts: PerEntry<Option<(usize, usize)>>,
    objects: Vec<(usize, u32)>,
}

/// The columns of one batch.
pub(crate) struct KeyedColumns {
    pub(crate) maps: Vec<(usize, MapColumn)>,
    pub(crate) columns: Vec<(usize, TextColumn)>,
}

/// A text that is no JSON object, and the column it stands in.
pub(crate) struct NoObject {
    pub(crate) column: usize,
    pub(crate) text: String,
}

impl<'a> KeyedClaims<'a> {
    pub(crate) fn new(
        sources: &KeyedSources,
        wanted: &'a [String],
        first: usize,
        prefixes: &'static [&'static str],
        fold: fn(&str) -> String,
    ) -> Self {
        let map = || MapClaims { values: wanted.iter().map(|_| PerEntry::default()).collect(), ..MapClaims::default() };
        Self {
            wanted,
            first,
            prefixes,
            fold,
            maps: sources.maps.iter().map(|_| map()).collect(),
            columns: sources.columns.iter().map(|_| PerEntry::default()).collect(),
        }
    }

    /// Prepares for a batch.
    pub(crate) fn follow(&mut self, columns: &KeyedColumns) {
        for (known, (_, column)) in self.maps.iter_mut().zip(&columns.maps) {
            match column {
                MapColumn::Map(map) => {
                    known.keys.follow(&map.keys);
                    for known in &mut known.values {
                        known.follow(&map.values);
                    }
                }
                MapColumn::Json(text) => {
                    if known.texts.follow(text) {
                        known.objects.clear();
                    }
                }
            }
        }
        for (known, (_, column)) in self.columns.iter_mut().zip(&columns.columns) {
            known.follow(column);
        }
    }

    /// Writes the row's claims to `line`, by attribute; of two sources that fold to one key the last non-blank wins.
    #[inline]
    pub(crate) fn put(
        &mut self,
        columns: &KeyedColumns,
        row: usize,
        rules: (&RuleMatcher, &mut RuleFinder),
        line: &mut [u32],
    ) -> Result<(), NoObject> {
        let (rules, finder) = rules;
        let first = self.first;
        let Some(slots) = line.get_mut(first..first + self.wanted.len()) else { return Ok(()) };
        slots.fill(NO_CLAIM);
        let key = Key { wanted: self.wanted, prefixes: self.prefixes, fold: self.fold };
        for (known, (at, column)) in self.maps.iter_mut().zip(&columns.maps) {
            match column {
                MapColumn::Map(map) => {
                    let claim = |wanted, value: &str| finder.claim(rules, first + wanted, value);
                    known.put_map(map, row, key, claim, slots);
                }
                MapColumn::Json(text) => {
                    let claim = |wanted, value: &str| finder.claim(rules, first + wanted, value);
                    if !known.put_json(text, row, key, claim, slots) {
                        return Err(NoObject { column: *at, text: text.get(row).unwrap_or_default().to_owned() });
                    }
                }
            }
        }
        for (known, (wanted, column)) in self.columns.iter_mut().zip(&columns.columns) {
            let claim = known.get(column, row, |value| finder.claim(rules, first + wanted, value));
            if let (Some(claim), Some(slot)) = (claim, slots.get_mut(*wanted)) {
                *slot = claim;
            }
        }
        Ok(())
    }
}

/// How a key of a file is one of the wanted ones.
#[derive(Clone, Copy)]
struct Key<'a> {
    wanted: &'a [String],
    prefixes: &'static [&'static str],
    fold: fn(&str) -> String,
}

impl Key<'_> {
    fn wanted(self, key: &str) -> Option<usize> {
        let folded = crate::rules::snake(key);
        let bare = self.prefixes.iter().find_map(|prefix| folded.strip_prefix(prefix)).unwrap_or(&folded);
        let folded = (self.fold)(bare);
        self.wanted.iter().position(|wanted| *wanted == folded)
    }
}

impl MapClaims {
    #[inline]
    fn put_map(
        &mut self,
        map: &RealMap,
        row: usize,
        key: Key<'_>,
        mut claim: impl FnMut(usize, &str) -> u32,
        slots: &mut [u32],
    ) {
        for entry in map.entries(row) {
            let Some(Some(wanted)) = self.keys.get(&map.keys, entry, |text| key.wanted(text)) else { continue };
            let Some(known) = self.values.get_mut(wanted) else { continue };
            let claimed = known.get(&map.values, entry, |value| claim(wanted, value));
            if let (Some(claimed), Some(slot)) = (claimed, slots.get_mut(wanted)) {
                *slot = claimed;
            }
        }
    }

    /// False for a text that is no JSON object.
    fn put_json(
        &mut self,
        text: &TextColumn,
        row: usize,
        key: Key<'_>,
        mut claim: impl FnMut(usize, &str) -> u32,
        slots: &mut [u32],
    ) -> bool {
        let Self { texts, objects, .. } = self;
        let range = texts.get(text, row, |text| {
            let entries = json_entries(text)?;
            let first = objects.len();
            let wanted = entries.iter().filter_map(|(name, value)| Some((key.wanted(name)?, value)));
            objects.extend(wanted.map(|(wanted, value)| (wanted, claim(wanted, value))));
            Some((first, objects.len()))
        });
        let Some(range) = range else { return true };
        let Some((first, end)) = range else { return false };
        for (wanted, claimed) in objects.get(first..end).unwrap_or_default() {
            if let Some(slot) = slots.get_mut(*wanted) {
                *slot = *claimed;
            }
        }
        true
    }
}
