//! Damage that any file can take: bits, bytes, cuts, repeats, splices, numbers at the edge of their type.

use crate::support::random::Random;

/// Numbers at which something ends.
pub(super) const EDGES: [u64; 22] = [
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    65_536,
    1 << 20,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

/// One to three kinds of damage, one after the other.
pub(super) fn damage(content: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let times = 1 + usize::from(random.percent(30)) + usize::from(random.percent(10));
    for _ in 0..times {
        damage_once(content, other, random);
    }
}

fn damage_once(content: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let (at, length) = (random.below(content.len()), content.len());
    let end = (at + 1 + random.below(40)).min(length);
    match random.below(15) {
        0..=2 if length > 0 => content[at] ^= 1 << random.below(8),
        3 if length > 0 => content[at] = random.byte(),
        4 if length > 0 => content[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff, b'"', b',', b'\n', b'\r', b'\\', 0x1b]),
        5 => content.truncate(at),
        6 => drop(content.drain(at.min(end)..end)),
        7 => {
            let piece = content[at.min(end)..end].repeat(1 + random.below(60));
            content.splice(at..at, piece);
        }
        8 => {
            let from = random.below(other.len());
            content.truncate(at);
            content.extend_from_slice(&other[from..]);
        }
        9 => {
            let number = random.pick(&EDGES).to_le_bytes();
            overwrite(content, at, &number[..*random.pick(&[2, 4, 8])]);
        }
        10 => overwrite(content, at, &varint(*random.pick(&EDGES))),
        11 => content[at.min(end)..end].fill(*random.pick(&[0, 0xff, b' ', b'9'])),
        12 => {
            content.splice(at..at, (0..1 + random.below(16)).map(|_| random.byte()).collect::<Vec<_>>()).for_each(drop)
        }
        13 if random.percent(10) => content.clear(),
        _ => overwrite(content, at, &[random.byte(), random.byte()]),
    }
}

fn overwrite(content: &mut [u8], at: usize, with: &[u8]) {
    for (old, new) in content.iter_mut().skip(at).zip(with) {
        *old = *new;
    }
}

/// A number in groups of seven bits, the last one first.
pub(super) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}
