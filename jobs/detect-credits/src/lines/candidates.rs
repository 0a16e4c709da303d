//! The candidate rules of the lines of a batch by tags, cost categories and the product map.

use std::sync::Arc;

use cur_reader::{Dictionary, DictionaryMemo, MapColumn, RealMap, TextColumn, json_entries};
use hashbrown::HashMap;

use super::runs::add_changes;
use crate::columns::KeyedSources;
use crate::rules::{NO_CANDIDATES, NO_OBJECT, RuleFinder, RuleMatcher, position_of, snake};

/// Values of map entries whose candidates are remembered. Forgotten when they grow many: they are looked up again.
const ENTRIES: usize = 262_144;

/// The rule attributes of one kind that come from keyed columns: tags, or cost categories.
pub(crate) struct KeyedCandidates {
    keys: WantedKeys,
    /// Attribute of the first wanted key.
    first: usize,
    maps: Vec<MapCandidates>,
    columns: Vec<DictionaryMemo<u32>>,
    /// Of the line at hand: wanted keys and the candidates of their values.
    found: Vec<(usize, u32)>,
}

/// What is known about the dictionaries of one map column.
#[derive(Default)]
struct MapCandidates {
    keys: Dictionary,
    /// By entry of the key dictionary: the wanted key, if it is one.
    wanted: Vec<Option<usize>>,
    values: Dictionary,
    /// Candidates by wanted key and entry of the value dictionary.
    candidates: HashMap<(usize, usize), u32>,
    /// Candidates of whole JSON texts: a range of `objects`; `None` for a text that is no object.
    texts: DictionaryMemo<Option<(usize, usize)>>,
    objects: Vec<(usize, u32)>,
}

/// The columns of one batch.
pub(crate) struct KeyedColumns {
    pub(crate) maps: Vec<(usize, MapColumn)>,
    pub(crate) columns: Vec<(usize, TextColumn)>,
}

/// How a key of a file is one of the wanted ones.
struct WantedKeys {
    wanted: Arc<[String]>,
    prefixes: &'static [&'static str],
    fold: fn(&str) -> String,
}

impl WantedKeys {
    fn position(&self, key: &str) -> Option<usize> {
        let folded = snake(key);
        let bare = self.prefixes.iter().find_map(|prefix| folded.strip_prefix(prefix)).unwrap_or(&folded);
        position_of(&self.wanted, &(self.fold)(bare))
    }
}

/// What candidates are made of: the rules, their finder, and the attribute of the first wanted key.
struct CandidateLookup<'a> {
    rules: &'a RuleMatcher,
    finder: &'a mut RuleFinder,
    first: usize,
}

impl CandidateLookup<'_> {
    fn candidate_rules(&mut self, wanted: usize, value: &str) -> u32 {
        self.finder.candidate_rules(self.rules, self.first + wanted, value)
    }
}

impl KeyedCandidates {
    pub(crate) fn new(
        sources: &KeyedSources,
        wanted: &Arc<[String]>,
        first: usize,
        prefixes: &'static [&'static str],
        fold: fn(&str) -> String,
    ) -> Self {
        Self {
            keys: WantedKeys { wanted: Arc::clone(wanted), prefixes, fold },
            first,
            maps: sources.maps.iter().map(|_| MapCandidates::default()).collect(),
            columns: sources.columns.iter().map(|_| DictionaryMemo::default()).collect(),
            found: Vec::new(),
        }
    }

    /// The candidates of each line of a batch by all wanted keys together; of two sources that fold to one key the last
    /// non-blank wins. `None` without any source.
    pub(crate) fn of_batch(
        &mut self,
        columns: &KeyedColumns,
        rows: usize,
        (rules, finder): (&RuleMatcher, &mut RuleFinder),
    ) -> Option<Vec<u32>> {
        if columns.maps.is_empty() && columns.columns.is_empty() {
            return None;
        }
        for (known, (_, column)) in self.maps.iter_mut().zip(&columns.maps) {
            known.rebind(column, &self.keys);
        }
        for (known, (_, column)) in self.columns.iter_mut().zip(&columns.columns) {
            known.rebind(column);
        }
        let mut lookup = CandidateLookup { rules, finder, first: self.first };
        let (mut candidates, mut last) = (Vec::with_capacity(rows), NO_CANDIDATES);
        // Lines of one resource come one after the other.
        for (row, is_other) in [true].into_iter().chain(columns.changes(rows)).enumerate().take(rows) {
            if is_other {
                self.find(columns, row, &mut lookup);
                last = lookup.finder.together(rules, &mut self.found);
            }
            candidates.push(last);
        }
        Some(candidates)
    }

    /// Gathers the candidates of the wanted keys of a line.
    fn find(&mut self, columns: &KeyedColumns, row: usize, lookup: &mut CandidateLookup<'_>) {
        let Self { keys, maps, columns: known_columns, found, .. } = self;
        found.clear();
        for (known, (_, column)) in maps.iter_mut().zip(&columns.maps) {
            match column {
                MapColumn::Map(map) => known.find_in_map(map, row, lookup, found),
                MapColumn::Json(text) => known.find_in_json(text, row, keys, lookup, found),
            }
        }
        for (known, (wanted, column)) in known_columns.iter_mut().zip(&columns.columns) {
            let candidates = known.get(column, row, |value| lookup.candidate_rules(*wanted, value));
            found.extend(candidates.map(|candidates| (*wanted, candidates)));
        }
    }
}

impl MapCandidates {
    fn rebind(&mut self, column: &MapColumn, keys: &WantedKeys) {
        match column {
            MapColumn::Map(map) => {
                if self.keys.rebind(&map.keys) {
                    self.wanted = map.keys.entries().map(|key| key.and_then(|key| keys.position(key))).collect();
                }
                if self.values.rebind(&map.values) || self.candidates.len() >= ENTRIES {
                    self.candidates.clear();
                }
            }
            MapColumn::Json(text) => {
                if self.texts.rebind(text) {
                    self.objects.clear();
                }
            }
        }
    }

    fn find_in_map(
        &mut self,
        map: &RealMap,
        row: usize,
        lookup: &mut CandidateLookup<'_>,
        found: &mut Vec<(usize, u32)>,
    ) {
        for entry in map.row(row) {
            let wanted = map.keys.code(entry).and_then(|key| self.wanted.get(key).copied().flatten());
            let Some((wanted, value)) = wanted.zip(map.values.code(entry)) else { continue };
            let known = self.candidates.get(&(wanted, value)).copied();
            let candidates = known.or_else(|| {
                let candidates = lookup.candidate_rules(wanted, map.values.get(entry)?);
                self.candidates.insert((wanted, value), candidates);
                Some(candidates)
            });
            found.extend(candidates.map(|candidates| (wanted, candidates)));
        }
    }

    fn find_in_json(
        &mut self,
        text: &TextColumn,
        row: usize,
        keys: &WantedKeys,
        lookup: &mut CandidateLookup<'_>,
        found: &mut Vec<(usize, u32)>,
    ) {
        let Self { texts, objects, .. } = self;
        let range = texts.get(text, row, |text| {
            let entries = json_entries(text)?;
            let first = objects.len();
            let wanted = entries.iter().filter_map(|(name, value)| Some((keys.position(name)?, value)));
            objects.extend(wanted.map(|(wanted, value)| (wanted, lookup.candidate_rules(wanted, value))));
            Some((first, objects.len()))
        });
        match range {
            None => {}
            Some(None) => found.push((0, NO_OBJECT)),
            Some(Some((first, end))) => found.extend_from_slice(objects.get(first..end).unwrap_or_default()),
        }
    }
}

impl KeyedColumns {
    /// For each row but the first, whether it holds other keys or values than the one before.
    fn changes(&self, rows: usize) -> Vec<bool> {
        let mut changes = vec![false; rows.saturating_sub(1)];
        for (_, column) in &self.maps {
            match column {
                MapColumn::Map(map) => {
                    let (keys, values) = (map.keys.codes(), map.values.codes());
                    let mut entries = map.rows().map(|range| Some((keys.get(range.clone())?, values.get(range)?)));
                    let mut last = entries.next().flatten();
                    for (change, entries) in changes.iter_mut().zip(entries) {
                        *change |= entries != last;
                        last = entries;
                    }
                }
                MapColumn::Json(text) => add_changes(&mut changes, text.codes()),
            }
        }
        for (_, column) in &self.columns {
            add_changes(&mut changes, column.codes());
        }
        changes
    }

    /// The column of a row whose text is no JSON object.
    pub(crate) fn no_object(&self, row: usize) -> Option<(usize, &str)> {
        self.maps.iter().find_map(|(at, column)| match column {
            MapColumn::Json(text) => {
                let text = text.get(row).filter(|text| json_entries(text).is_none())?;
                Some((*at, text))
            }
            MapColumn::Map(_) => None,
        })
    }
}
