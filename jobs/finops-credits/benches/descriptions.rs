//! The parser of credit descriptions, shape by shape: `cargo bench --bench descriptions`. A run parses each text once.

use detect_credits::description::DescriptionParser;
use divan::Bencher;
use divan::counter::ItemsCount;
use schemas::settings::CreditSettings;

fn main() {
    divan::main();
}

const SHAPES: [&str; 6] = [
    "MAP 2.0 Credits; PromotionCode=MAP2-2026-0042; Service=AmazonEC2",
    "AWS Promotional Credit - Promotion Code: PC-7731 (valid through 2026-12-31)",
    "AWS Activate - Portfolio Credits, 10063540211, account 410000000301",
    "Sales PoC - Robotics (phase 2)",
    "Refund for billing adjustment 2026-03, case 1234567890",
    "a description that matches no pattern at all, as long as descriptions often are, with a number 12345678 in it",
];

#[divan::bench(args = SHAPES)]
fn parse(bencher: Bencher<'_, '_>, description: &str) {
    let Ok(parser) = DescriptionParser::new(&CreditSettings::default()) else { return };
    bencher.counter(ItemsCount::new(1_usize)).bench(|| parser.parse(divan::black_box(Some(description))));
}
