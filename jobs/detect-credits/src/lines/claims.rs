//! Which rules the lines of a batch claim by tags, cost categories and the product map.

use std::ops::Range;

use crate::columns::KeyedSources;
use crate::rules::{NO_CLAIM, RuleFinder, RuleMatcher, snake};
use crate::values::{Dictionary, MapColumn, PerEntry, RealMap, TextColumn, json_entries};

/// Stands in place of the claims of a line with a text that is no JSON object.
pub(crate) const NO_OBJECT: u32 = u32::MAX;

/// The last one counts, but what is no object stays to be reported.
fn put(slot: &mut u32, claimed: u32) {
    if *slot != NO_OBJECT {
        *slot = claimed;
    }
}

/// The rule attributes of one kind that come from keyed columns: tags, or cost categories.
pub(crate) struct KeyedClaims {
    keys: WantedKeys,
    /// Attribute of the first wanted key.
    first: usize,
    maps: Vec<MapClaims>,
    columns: Vec<PerEntry<u32>>,
}

/// What is known about the dictionaries of one map column.
#[derive(Default)]
struct MapClaims {
    keys: Dictionary,
    /// By entry of the key dictionary: the wanted key, if it is one.
    wanted: Vec<Option<usize>>,
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

/// How a key of a file is one of the wanted ones.
struct WantedKeys {
    wanted: Vec<String>,
    prefixes: &'static [&'static str],
    fold: fn(&str) -> String,
}

impl WantedKeys {
    fn position(&self, key: &str) -> Option<usize> {
        let folded = snake(key);
        let bare = self.prefixes.iter().find_map(|prefix| folded.strip_prefix(prefix)).unwrap_or(&folded);
        let folded = (self.fold)(bare);
        self.wanted.iter().position(|wanted| *wanted == folded)
    }
}

impl KeyedClaims {
    pub(crate) fn new(
        sources: &KeyedSources,
        wanted: &[String],
        first: usize,
        prefixes: &'static [&'static str],
        fold: fn(&str) -> String,
    ) -> Self {
        let map = || MapClaims { values: wanted.iter().map(|_| PerEntry::default()).collect(), ..MapClaims::default() };
        Self {
            keys: WantedKeys { wanted: wanted.to_vec(), prefixes, fold },
            first,
            maps: sources.maps.iter().map(|_| map()).collect(),
            columns: sources.columns.iter().map(|_| PerEntry::default()).collect(),
        }
    }

    /// What the lines of a batch claim, by wanted key; of two sources that fold to one key the last non-blank wins.
    pub(crate) fn of_batch(
        &mut self,
        columns: &KeyedColumns,
        rows: usize,
        (rules, finder): (&RuleMatcher, &mut RuleFinder),
    ) -> Vec<Vec<u32>> {
        let first = self.first;
        let mut claim = |wanted, value: &str| finder.claim(rules, first + wanted, value);
        let mut claims = vec![vec![NO_CLAIM; rows]; self.keys.wanted.len()];
        for (known, (_, column)) in self.maps.iter_mut().zip(&columns.maps) {
            match column {
                MapColumn::Map(map) => known.put_map(map, &self.keys, &mut claim, &mut claims),
                MapColumn::Json(text) => known.put_json(text, rows, &self.keys, &mut claim, &mut claims),
            }
        }
        for (known, (wanted, column)) in self.columns.iter_mut().zip(&columns.columns) {
            known.follow(column);
            let Some(claims) = claims.get_mut(*wanted) else { continue };
            for (row, slot) in claims.iter_mut().enumerate() {
                if let Some(claimed) = known.get(column, row, |value| claim(*wanted, value)) {
                    put(slot, claimed);
                }
            }
        }
        claims
    }
}

impl MapClaims {
    fn put_map(
        &mut self,
        map: &RealMap,
        keys: &WantedKeys,
        claim: &mut impl FnMut(usize, &str) -> u32,
        claims: &mut [Vec<u32>],
    ) {
        if self.keys.follow(&map.keys) {
            self.wanted = map.keys.entries().map(|key| key.and_then(|key| keys.position(key))).collect();
        }
        for known in &mut self.values {
            known.follow(&map.values);
        }
        let (key_codes, value_codes) = (map.keys.codes(), map.values.codes());
        let of_entries = |range: &Range<usize>| Some((key_codes.get(range.clone())?, value_codes.get(range.clone())?));
        let (mut last, mut found) = (None, Vec::new());
        for (row, range) in map.rows().enumerate() {
            let entries = of_entries(&range);
            // Lines of one resource come one after the other.
            if entries != last {
                last = entries;
                found.clear();
                for entry in range {
                    let wanted = map.keys.code(entry).and_then(|code| self.wanted.get(code).copied().flatten());
                    let Some((wanted, known)) = wanted.and_then(|at| Some((at, self.values.get_mut(at)?))) else {
                        continue;
                    };
                    let claimed = known.get(&map.values, entry, |value| claim(wanted, value));
                    found.extend(claimed.map(|claimed| (wanted, claimed)));
                }
            }
            for (wanted, claimed) in &found {
                if let Some(slot) = claims.get_mut(*wanted).and_then(|of| of.get_mut(row)) {
                    put(slot, *claimed);
                }
            }
        }
    }

    fn put_json(
        &mut self,
        text: &TextColumn,
        rows: usize,
        keys: &WantedKeys,
        claim: &mut impl FnMut(usize, &str) -> u32,
        claims: &mut [Vec<u32>],
    ) {
        let Self { texts, objects, .. } = self;
        if texts.follow(text) {
            objects.clear();
        }
        for row in 0..rows {
            let range = texts.get(text, row, |text| {
                let entries = json_entries(text)?;
                let first = objects.len();
                let wanted = entries.iter().filter_map(|(name, value)| Some((keys.position(name)?, value)));
                objects.extend(wanted.map(|(wanted, value)| (wanted, claim(wanted, value))));
                Some((first, objects.len()))
            });
            let found = match range {
                None => continue,
                Some(None) => &[(0, NO_OBJECT)][..],
                Some(Some((first, end))) => objects.get(first..end).unwrap_or_default(),
            };
            for (wanted, claimed) in found {
                if let Some(slot) = claims.get_mut(*wanted).and_then(|of| of.get_mut(row)) {
                    put(slot, *claimed);
                }
            }
        }
    }
}

impl KeyedColumns {
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
