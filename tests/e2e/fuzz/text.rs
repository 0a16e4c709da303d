//! Damage to what a text means: cells, lines, values.

use serde_json::Value;

use crate::support::random::Random;

/// What stands where something else was meant.
const ODD: [&str; 60] = [
    "",
    " ",
    "NULL",
    "0",
    "-0",
    "1e308",
    "-1e28",
    "1e-400",
    "99999999999999999999999999999999999999.9",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x10",
    "1,5",
    "1.2.3",
    "\u{661}\u{662}",
    "9223372036854775807",
    "9223372036854775808",
    "170141183460469231731687303715884105727",
    "0026-09-01",
    "0000-00-00",
    "9999-12-31T23:59:59Z",
    "2026-13-01",
    "2026-02-30",
    "1970-01-01",
    "+2026-05-01",
    "2026-05-01T25:61:61Z",
    "262143-01-01",
    "-2026-05-01",
    "2026-05",
    "0026-09",
    "2026-05-01T00:00:00+99:99",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{7}",
    "a\u{0}b",
    "\u{9b}31m",
    "\u{202e}txet",
    "\"",
    "\"\"",
    "'",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+1",
    "-1",
    "\t=1",
    "a\nb",
    "a\r\nb",
    "{",
    "{}",
    "{\"a\":",
    "[]",
    "null",
    "{\"a\":{\"b\":1}}",
    "{\"a\":\"b\",\"a\":\"c\"}",
    "\u{feff}",
    "../../etc/passwd",
    "a/b",
    "Unassigned",
    "*",
    "%00",
];

/// An odd text, rarely a long one.
pub(super) fn odd(random: &mut Random) -> String {
    match random.below(40) {
        0 => "A".repeat(70_000),
        1 => "9".repeat(400),
        2 => "[".repeat(10_000),
        3 => format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        4 => "\u{1b}]0;x\u{7}".repeat(50),
        5 => format!("{}-{:02}-{:02}", random.below(10_000), random.below(15), random.below(34)),
        6 => format!("{}e{}", random.below(1000), random.below(60)),
        _ => (*random.pick(&ODD)).to_owned(),
    }
}

/// Columns on which most depends, by a part of their name.
const TELLING: [&str; 9] = ["escription", "date", "Date", "Period", "ost", "mount", "type", "Category", "ags"];

/// Changes cells, rows and columns of a CSV text; none of it where the text is no CSV.
pub(super) fn damage_csv(text: &str, random: &mut Random) -> Option<Vec<u8>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut records: Vec<Vec<String>> = Vec::new();
    for record in reader.records() {
        records.push(record.ok()?.iter().map(str::to_owned).collect());
    }
    let columns = records.first()?.len();
    for _ in 0..1 + usize::from(random.percent(30)) {
        let (row, column) = (random.below(records.len()), random.below(columns));
        let telling: Vec<usize> = (0..columns)
            .filter(|at| TELLING.iter().any(|part| records[0].get(*at).is_some_and(|name| name.contains(part))))
            .collect();
        let column = if random.percent(60) && !telling.is_empty() { *random.pick(&telling) } else { column };
        match random.below(14) {
            0..=6 => set(&mut records, row.max(usize::from(random.percent(90))), column, odd(random)),
            7 => {
                let odd = odd(random);
                (1..records.len()).for_each(|row| set(&mut records, row, column, odd.clone()));
            }
            8 => {
                let (other, old) = (random.below(columns), records[row].get(column).cloned().unwrap_or_default());
                let new = records[row].get(other).cloned().unwrap_or_default();
                set(&mut records, row, column, new);
                set(&mut records, row, other, old);
            }
            9 => {
                let copy = records[row].clone();
                records.insert(random.below(records.len() + 1), copy);
            }
            10 if records.len() > 1 => drop(records.remove(row)),
            11 => {
                records.iter_mut().filter(|record| column < record.len()).for_each(|record| drop(record.remove(column)))
            }
            12 => {
                let name = records[0].get(random.below(columns)).cloned().unwrap_or_default();
                set(&mut records, 0, column, name);
            }
            _ => records[row].push(odd(random)),
        }
        if records.is_empty() {
            break;
        }
    }
    Some(written(&records, random))
}

fn set(records: &mut [Vec<String>], row: usize, column: usize, cell: String) {
    if let Some(old) = records.get_mut(row).and_then(|record| record.get_mut(column)) {
        *old = cell;
    }
}

fn written(records: &[Vec<String>], random: &mut Random) -> Vec<u8> {
    let separator = if random.percent(3) { *random.pick(b";\t|") } else { b',' };
    let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(separator).from_writer(Vec::new());
    for record in records {
        writer.write_record(record).expect("a record");
    }
    let mut bytes = writer.into_inner().expect("a text");
    match random.below(40) {
        0 => bytes.splice(..0, [0xef, 0xbb, 0xbf]).for_each(drop),
        1 => bytes.splice(..0, [0xff, 0xfe]).for_each(drop),
        2 => bytes = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes(),
        3 => bytes.extend_from_slice(b"\n,,,,\n\n"),
        4 => bytes.extend_from_slice(&[0; 64]),
        _ => {}
    }
    bytes
}

/// Changes lines of a text of `key = value` lines, and their values.
pub(super) fn damage_toml(text: &str, random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..1 + usize::from(random.percent(30)) {
        let at = random.below(lines.len());
        match random.below(10) {
            0..=6 => {
                if let Some((key, _)) = lines[at].split_once('=') {
                    lines[at] = format!("{key}= {}", odd_value(random));
                }
            }
            7 => {
                let copy = lines[at].clone();
                lines.insert(random.below(lines.len() + 1), copy);
            }
            8 if lines.len() > 1 => drop(lines.remove(at)),
            _ => lines.insert(
                at,
                format!("{} = {}", random.pick(&["location", "odd", "\"\\u001b\"", "threads"]), odd_value(random)),
            ),
        }
    }
    lines.join("\n").into_bytes()
}

/// A TOML value of a kind that is not meant.
fn odd_value(random: &mut Random) -> String {
    let text = |text: &str| serde_json::to_string(text).expect("a text");
    match random.below(12) {
        0 => (*random.pick(&["0", "-1", "1", "2", "1000", "1e308", "99999999999999999999", "nan", "true"])).to_owned(),
        1 => "[".repeat(5_000),
        2 => "{}".to_owned(),
        3 => "[\"(\", \"(?P<code>\", \"(a+)+$\"]".to_owned(),
        4 => "[{ pattern = \"((((a{1000}){1000}){1000})\", class = \"x\" }]".to_owned(),
        5 => text(random.pick::<&str>(&[
            "fifo_issue_day/v1",
            "USD",
            "1 GiB",
            "9999999999 TiB",
            "1 B",
            "amortized",
            "glue",
            "2026-05-31",
        ])),
        6 => "1979-05-27T07:32:00Z".to_owned(),
        7 => "'''\n".to_owned(),
        _ => text(&odd(random)),
    }
}

/// Changes values and keys of a JSON text; none of it where the text is no JSON.
pub(super) fn damage_json(text: &str, random: &mut Random) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_str(text).ok()?;
    for _ in 0..1 + random.below(2) {
        let target = random.below(count(&json));
        change(&mut json, &mut { target }, random);
    }
    serde_json::to_vec(&json).ok()
}

fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0_usize,
    }
}

/// Changes the value with this number, counted from the outside in; true once it is done.
fn change(json: &mut Value, left: &mut usize, random: &mut Random) -> bool {
    if *left == 0 {
        *json = match random.below(9) {
            0 => Value::Null,
            1 => Value::from(*random.pick(&super::bytes::EDGES)),
            2 => Value::from(-1),
            3 => Value::Array(vec![json.clone(), json.clone()]),
            4 => Value::Array(Vec::new()),
            5 => Value::Object([("key".to_owned(), json.clone())].into_iter().collect()),
            6 => Value::from(1e300),
            _ => Value::from(odd(random)),
        };
        return true;
    }
    *left -= 1;
    match json {
        Value::Array(values) => values.iter_mut().any(|value| change(value, left, random)),
        Value::Object(fields) => {
            if *left == 0 && random.percent(30) && !fields.is_empty() {
                let key = random.pick(&fields.keys().cloned().collect::<Vec<_>>()).clone();
                let value = fields.remove(&key);
                if random.percent(50) {
                    fields.insert(odd(random), value.unwrap_or_default());
                }
                return true;
            }
            fields.values_mut().any(|value| change(value, left, random))
        }
        _ => false,
    }
}
